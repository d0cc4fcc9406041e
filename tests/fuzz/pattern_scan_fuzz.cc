// The built-in patterns and an own one, the first line, over the rest: matches lie within the text,
// in order and apart; what was redacted is found no more in what stands between the marks.

#include <string>

#include "coordinator/curation/patterns.h"

namespace attune::curation {
namespace {

std::vector<PatternRule> Builtin() {
  std::vector<PatternRule> rules;
  for (const BuiltinPattern& pattern : BuiltinPatterns()) {
    rules.push_back({std::string(pattern.name), "", Action::kRedact});
  }
  return rules;
}

void Check(const PatternSet& set, const std::string& text) {
  const PatternMatches found = set.Find(text);
  const std::vector<PatternMatch>& matches = found.matches;
  size_t at = 0;
  for (const PatternMatch& match : matches) {
    ATTUNE_CHECK(match.pattern < set.rules().size());
    ATTUNE_CHECK(match.begin >= at && match.end > match.begin && match.end <= text.size());
    at = match.end;
  }
  static constexpr Action kActions[] = {Action::kRedact};
  const std::string redacted = set.Redact(text, matches, kActions);
  ATTUNE_CHECK(matches.empty() == (redacted == text));
}

}  // namespace
}  // namespace attune::curation

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune::curation;
  static const PatternSet builtin = *PatternSet::Make(Builtin());
  const std::string text(reinterpret_cast<const char*>(data), size);
  Check(builtin, text);
  const size_t line = std::min(text.find('\n'), text.size());
  const std::vector<PatternRule> own = {{"own", text.substr(0, line), Action::kRedact}};
  attune::Result<PatternSet> set = PatternSet::Make(own);
  if (!set.ok()) {
    ATTUNE_CHECK(!set.status().message().empty());
    return 0;
  }
  // RE2 reads its pattern and text as UTF-8 and takes any bytes.
  const std::string rest = text.substr(std::min(line + 1, text.size()));
  const PatternMatches found = set->Find(rest);
  for (const PatternMatch& match : found.matches) ATTUNE_CHECK(match.end <= rest.size());
  ATTUNE_CHECK(found.bytes_searched <= kLooksAByte * rest.size());
  return 0;
}
