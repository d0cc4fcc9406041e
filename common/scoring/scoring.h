#pragma once

// Scores of one generated answer against its reference, each in [0, 1], higher is better.
//
// Exact match and token F1 are SQuAD's (Rajpurkar et al. 2016: lower case, no punctuation, no
// articles, single spaces); ROUGE-L is that of the package rouge-score (Lin 2004; F-measure,
// stemmer off).

#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune::scoring {

double ExactMatch(std::string_view answer, std::string_view reference);
double TokenF1(std::string_view answer, std::string_view reference);
double RougeL(std::string_view answer, std::string_view reference);

// Of the answer alone: 1 when it is valid.
class Validator {
 public:
  virtual ~Validator() = default;
  virtual double Score(std::string_view answer) const = 0;
};
// The whole answer, without white space around it, must match (RE2: linear time).
Result<std::unique_ptr<Validator>> MakeRegexValidator(const std::string& pattern);
// The answer must be JSON that the schema accepts. Errors: a schema that is none.
Result<std::unique_ptr<Validator>> MakeJsonSchemaValidator(const std::string& schema);

}  // namespace attune::scoring
