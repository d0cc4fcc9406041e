#pragma once

// Scores of one generated answer against its reference, each in [0, 1], higher is better.
//
// Exact match and token F1 are SQuAD's (Rajpurkar et al. 2016 and 2018, evaluate-v2.0.py: lower
// case, no ASCII punctuation, no articles, single spaces; without a token on one side, 1 when the
// other has none either); ROUGE-L is that of the package rouge-score (Lin 2004; F-measure, stemmer
// off; it knows the letters a to z and digits alone). Letters become lower case one by one, as in
// glibc.

#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune::scoring {

double ExactMatch(std::string_view answer, std::string_view reference);
double TokenF1(std::string_view answer, std::string_view reference);
double RougeL(std::string_view answer, std::string_view reference);

// The text without white space (Unicode's) around it.
std::string_view Trimmed(std::string_view text);

// Of the answer alone: 1 when it is valid. Thread-safe.
class Validator {
 public:
  virtual ~Validator() = default;
  virtual double Score(std::string_view answer) const = 0;
};

inline constexpr size_t kPatternBytesMax = 4 << 10;
inline constexpr size_t kSchemaBytesMax = 64 << 10;

// The whole answer, without white space around it, must match (RE2: linear time).
Result<std::unique_ptr<Validator>> MakeRegexValidator(const std::string& pattern);
// The pattern must be found somewhere in the answer.
Result<std::unique_ptr<Validator>> MakeSearchValidator(const std::string& pattern);
// The answer must be JSON that the schema accepts (json_schema.h). Errors: a schema that is none.
Result<std::unique_ptr<Validator>> MakeJsonSchemaValidator(const std::string& schema);

}  // namespace attune::scoring
