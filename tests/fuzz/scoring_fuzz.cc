#include <algorithm>
#include <cstdint>
#include <string>

#include "common/scoring/scoring.h"

// A rule and an answer, with a NUL between: whatever they are, the rule is refused or the answer
// has a score.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune::scoring;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\0'), text.size());
  const std::string rule = text.substr(0, end),
                    answer = text.substr(std::min(end + 1, text.size()));
  for (auto* make : {&MakeJsonSchemaValidator, &MakeRegexValidator, &MakeSearchValidator}) {
    auto validator = make(rule);
    if (!validator.ok()) continue;
    const double score = (*validator)->Score(answer);
    ATTUNE_CHECK(score == 0 || score == 1);
  }
  const double f1 = TokenF1(rule, answer);
  ATTUNE_CHECK(f1 >= 0 && f1 <= 1 && f1 == TokenF1(answer, rule));
  ATTUNE_CHECK(RougeL(rule, rule) == (RougeL(rule, rule) > 0 ? 1 : 0));
  return 0;
}
