#pragma once

// Secrets and personal data in texts, by regular expressions of RE2 and checks of what they find
// (check digits, reserved addresses). The built-in ones are in builtin_patterns.cc;
// docs/curation.md lists them. Immutable: any number of threads.
//
// RE2 finds one match in time linear in the text, whatever the expression. All matches take as many
// searches, each of which may look at the text to its end before it is sure of a match near by, as
// those of "(?s)x.*END|x" do. So an own expression has an allowance; the built-in ones are made
// such that no search looks far behind its match.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace attune::curation {

inline constexpr size_t kPatternsMax = 200;
inline constexpr size_t kExpressionBytesMax = 1000;
// The searches of an own expression may look at so many times the text's bytes, each taken to look
// at all that is left: whatever matches there are in a text of fewer bytes, thousands in a longer
// one. And at so many bytes in the texts of a row together, about a second.
inline constexpr uint64_t kLooksAByte = 4096, kLooksARow = uint64_t{1} << 30;

enum class Action {
  kReport,  // counted
  kRedact,  // replaced by [NAME]
  kDrop     // the row is left out
};

struct PatternRule {
  std::string name;        // 1 to 63 of a-z, 0-9, '_'; of an own one, none of the built-in names
  std::string expression;  // of an own one; empty: built in
  Action action = Action::kReport;
};

// What is built in. Of an expression with a group, the group is the secret.
struct BuiltinPattern {
  std::string_view name, group;  // "secrets" or "personal"
  std::string_view doc;
  std::string_view expression;
  // One of these is in every match; empty: nothing is known.
  std::vector<std::string_view> hints;
  // Whether [begin, end) of text, which the expression found, is one; may shorten it. Null: always.
  bool (*check)(std::string_view text, size_t begin, size_t* end) = nullptr;
};
std::span<const BuiltinPattern> BuiltinPatterns();

struct PatternMatch {
  size_t pattern;  // of PatternSet::rules()
  size_t begin, end;
};

struct PatternMatches {
  // By begin, none within another; of two that overlap the one whose action is the stronger (drop,
  // redact, report), then the one that begins first, then the longer one.
  std::vector<PatternMatch> matches;
  // Of PatternSet::rules(), ascending: those whose allowance ended before the text did, so that
  // there may be more matches.
  std::vector<size_t> too_costly;
  // At most: of own expressions, what kLooksAByte and kLooksARow allow.
  uint64_t bytes_searched = 0;
};

class PatternSet {
 public:
  // kInvalidArgument, naming the rule, for a name that is not known or there twice, an expression
  // that RE2 does not take, that is too long, or that matches the empty text.
  static Result<PatternSet> Make(std::span<const PatternRule> rules);
  PatternSet(PatternSet&&) noexcept;
  ~PatternSet();

  std::span<const PatternRule> rules() const { return rules_; }

  // What the searches of each rule looked at in a row so far; empty: nothing.
  using Looks = std::vector<uint64_t>;

  // row: of the texts of the same row before this one; adds this one's.
  PatternMatches Find(std::string_view text, Looks* row) const;
  // A text that is a row by itself.
  PatternMatches Find(std::string_view text) const;

  // text with each match whose action is among the actions replaced by [NAME].
  std::string Redact(std::string_view text, std::span<const PatternMatch> matches,
                     std::span<const Action> actions) const;

 private:
  struct Compiled;
  PatternSet();
  void FindAll(size_t rule, std::string_view text, uint64_t* looks_of_row,
               PatternMatches* found) const;

  std::vector<PatternRule> rules_;
  std::vector<std::unique_ptr<Compiled>> compiled_;  // of each rule
};

}  // namespace attune::curation
