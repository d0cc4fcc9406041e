#include "coordinator/curation/patterns.h"

#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <set>

namespace attune::curation {
namespace {

constexpr int64_t kRegexBytesMax = 8 << 20;
// A refused match that is longer is passed over whole, so that the time stays linear.
constexpr size_t kRetryBytesMax = 64;

const BuiltinPattern* FindBuiltin(std::string_view name) {
  const auto all = BuiltinPatterns();
  auto it = std::ranges::find(all, name, &BuiltinPattern::name);
  return it == all.end() ? nullptr : &*it;
}

bool IsPatternName(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string Listed() {
  std::string names;
  for (const BuiltinPattern& pattern : BuiltinPatterns()) {
    names.append(names.empty() ? "" : ", ").append(pattern.name);
  }
  return names;
}

Status CheckRule(const PatternRule& rule, std::set<std::string>* names) {
  const std::string what = "pattern '" + rule.name + "'";
  if (!IsPatternName(rule.name)) {
    return InvalidArgument(what + ": a name is 1 to 63 of a-z, 0-9 and '_'");
  }
  if (!names->insert(rule.name).second) return InvalidArgument(what + " is there twice");
  const bool builtin = FindBuiltin(rule.name) != nullptr;
  if (rule.expression.empty() && !builtin) {
    return InvalidArgument(what +
                           " is not built in and has no expression; built in are: " + Listed());
  }
  if (!rule.expression.empty() && builtin) {
    return InvalidArgument(what + " is built in: give your own expression another name");
  }
  if (rule.expression.size() > kExpressionBytesMax) {
    return InvalidArgument(what + ": its expression is longer than " +
                           std::to_string(kExpressionBytesMax) + " bytes");
  }
  return Status();
}

std::string Token(const std::string& name) {
  std::string token = "[";
  for (char c : name) token += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return token + "]";
}

int Strength(Action action) {
  return action == Action::kDrop ? 2 : action == Action::kRedact ? 1 : 0;
}

// The strongest first; each that overlaps none before it is kept.
std::vector<PatternMatch> WithoutOverlaps(std::vector<PatternMatch> all,
                                          std::span<const PatternRule> rules) {
  std::ranges::sort(all, [&](const PatternMatch& a, const PatternMatch& b) {
    const int sa = Strength(rules[a.pattern].action), sb = Strength(rules[b.pattern].action);
    if (sa != sb) return sa > sb;
    if (a.begin != b.begin) return a.begin < b.begin;
    return a.end != b.end ? a.end > b.end : a.pattern < b.pattern;
  });
  std::map<size_t, PatternMatch> kept;  // by begin
  for (const PatternMatch& match : all) {
    const auto after = kept.lower_bound(match.begin);
    if (after != kept.end() && after->second.begin < match.end) continue;
    if (after != kept.begin() && std::prev(after)->second.end > match.begin) continue;
    kept.emplace(match.begin, match);
  }
  std::vector<PatternMatch> matches;
  for (const auto& [begin, match] : kept) matches.push_back(match);
  return matches;
}

}  // namespace

struct PatternSet::Compiled {
  std::unique_ptr<RE2> regex;
  const BuiltinPattern* builtin = nullptr;
};

PatternSet::PatternSet() = default;
PatternSet::PatternSet(PatternSet&&) noexcept = default;
PatternSet::~PatternSet() = default;

Result<PatternSet> PatternSet::Make(std::span<const PatternRule> rules) {
  if (rules.size() > kPatternsMax) {
    return InvalidArgument("more than " + std::to_string(kPatternsMax) + " patterns");
  }
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRegexBytesMax);
  PatternSet set;
  std::set<std::string> names;
  for (const PatternRule& rule : rules) {
    ATTUNE_RETURN_IF_ERROR(CheckRule(rule, &names));
    auto compiled = std::make_unique<Compiled>();
    compiled->builtin = FindBuiltin(rule.name);
    const std::string_view expression =
        compiled->builtin != nullptr ? compiled->builtin->expression : rule.expression;
    compiled->regex =
        std::make_unique<RE2>(re2::StringPiece(expression.data(), expression.size()), options);
    if (!compiled->regex->ok()) {
      return InvalidArgument("pattern '" + rule.name + "': '" + std::string(expression) +
                             "' is no regular expression of RE2: " + compiled->regex->error());
    }
    if (RE2::FullMatch("", *compiled->regex)) {
      return InvalidArgument("pattern '" + rule.name + "' matches the empty text, so everywhere");
    }
    set.rules_.push_back(rule);
    set.compiled_.push_back(std::move(compiled));
  }
  return set;
}

namespace {

// Whether a cut there would leave invalid UTF-8: an expression may match single bytes (\C).
bool IsInsideCharacter(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
}

}  // namespace

void PatternSet::FindAll(size_t rule, std::string_view text, uint64_t* looks_of_row,
                         PatternMatches* all) const {
  const RE2& regex = *compiled_[rule]->regex;
  const BuiltinPattern* builtin = compiled_[rule]->builtin;
  const re2::StringPiece piece(text.data(), text.size());
  re2::StringPiece found[2];
  const int groups = std::min(2, regex.NumberOfCapturingGroups() + 1);
  uint64_t allowance = std::min(kLooksAByte * text.size(), kLooksARow - *looks_of_row);
  for (size_t at = 0; at < text.size();) {
    const size_t looks = text.size() - at;
    if (builtin == nullptr && looks > allowance) {
      all->too_costly.push_back(rule);
      return;
    }
    if (builtin == nullptr) {
      allowance -= looks;
      *looks_of_row += looks;
      all->bytes_searched += looks;
    }
    if (!regex.Match(piece, at, text.size(), RE2::UNANCHORED, found, groups)) return;
    const re2::StringPiece& part = groups == 2 && !found[1].empty() ? found[1] : found[0];
    const auto begin = static_cast<size_t>(part.data() - text.data());
    size_t end = begin + part.size();
    const auto whole_end = static_cast<size_t>(found[0].data() - text.data()) + found[0].size();
    const bool whole = !IsInsideCharacter(text, begin) && !IsInsideCharacter(text, end);
    const bool is =
        whole && end > begin &&
        (builtin == nullptr || builtin->check == nullptr || builtin->check(text, begin, &end));
    if (is) all->matches.push_back({rule, begin, end});
    // What a check refuses may hide one that begins within it.
    const bool again = !is && whole_end - begin <= kRetryBytesMax;
    at = std::max(at + 1, is ? end : again ? begin + 1 : whole_end);
  }
}

PatternMatches PatternSet::Find(std::string_view text) const {
  Looks row;
  return Find(text, &row);
}

PatternMatches PatternSet::Find(std::string_view text, Looks* row) const {
  row->resize(rules_.size());
  PatternMatches all;
  for (size_t rule = 0; rule < rules_.size(); ++rule) {
    const BuiltinPattern* builtin = compiled_[rule]->builtin;
    if (builtin != nullptr && !builtin->hints.empty() &&
        std::ranges::none_of(builtin->hints, [&](std::string_view hint) {
          return text.find(hint) != std::string_view::npos;
        })) {
      continue;
    }
    FindAll(rule, text, &(*row)[rule], &all);
  }
  all.matches = WithoutOverlaps(std::move(all.matches), rules_);
  return all;
}

std::string PatternSet::Redact(std::string_view text, std::span<const PatternMatch> matches,
                               std::span<const Action> actions) const {
  std::string redacted;
  size_t at = 0;
  for (const PatternMatch& match : matches) {
    const PatternRule& rule = rules_[match.pattern];
    if (std::ranges::find(actions, rule.action) == actions.end()) continue;
    redacted.append(text.substr(at, match.begin - at)).append(Token(rule.name));
    at = match.end;
  }
  return redacted.append(text.substr(at));
}

}  // namespace attune::curation
