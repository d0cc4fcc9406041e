// Scores by regular expressions.

#include <re2/re2.h>

#include "common/scoring/scoring.h"

namespace attune::scoring {
namespace {

class RegexValidator final : public Validator {
 public:
  RegexValidator(const std::string& pattern, const RE2::Options& options, bool whole)
      : regex_(pattern, options), whole_(whole) {}

  const RE2& regex() const { return regex_; }
  double Score(std::string_view answer) const override {
    const std::string_view text = whole_ ? Trimmed(answer) : answer;
    const re2::StringPiece piece(text.data(), text.size());
    const bool right = whole_ ? RE2::FullMatch(piece, regex_) : RE2::PartialMatch(piece, regex_);
    return right ? 1 : 0;
  }

 private:
  const RE2 regex_;
  const bool whole_;
};

Result<std::unique_ptr<Validator>> Make(const std::string& pattern, bool whole) {
  if (pattern.size() > kPatternBytesMax) {
    return InvalidArgument("the pattern is longer than " + std::to_string(kPatternBytesMax) +
                           " bytes");
  }
  RE2::Options options;
  options.set_log_errors(false);
  auto validator = std::make_unique<RegexValidator>(pattern, options, whole);
  if (!validator->regex().ok()) {
    return InvalidArgument("the pattern '" + pattern +
                           "' is no regular expression of RE2: " + validator->regex().error());
  }
  return std::unique_ptr<Validator>(std::move(validator));
}

}  // namespace

Result<std::unique_ptr<Validator>> MakeRegexValidator(const std::string& pattern) {
  return Make(pattern, /*whole=*/true);
}

Result<std::unique_ptr<Validator>> MakeSearchValidator(const std::string& pattern) {
  return Make(pattern, /*whole=*/false);
}

}  // namespace attune::scoring
