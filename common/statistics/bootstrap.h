#pragma once

// Bias-corrected and accelerated bootstrap (BCa; Efron 1987; Efron, Tibshirani 1993, 14.3) of any
// function of sums over examples. A token-weighted loss is sum(loss) / sum(tokens), a difference of
// two of them a function of four sums, macro F1 one of counts. Examples are drawn with replacement,
// and with each one everything that belongs to it: both models' numbers, so the bootstrap is
// paired.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "common/statistics/proportion.h"

namespace attune::statistics {

// Examples, each of which adds something to some of a fixed number of sums.
class SumSample {
 public:
  using Term = std::pair<uint32_t, double>;  // which sum, how much

  explicit SumSample(size_t sums) : totals_(sums, 0.0) {}
  void Add(std::span<const Term> terms);

  size_t examples() const { return ends_.size(); }
  // Of all examples, in their order.
  const std::vector<double>& totals() const { return totals_; }
  std::span<const Term> terms(size_t example) const;

 private:
  std::vector<Term> terms_;
  std::vector<size_t> ends_;
  std::vector<double> totals_;
};

using SumFunction = std::function<double(const std::vector<double>& sums)>;

struct BootstrapOptions {
  double confidence = 0.9;  // of the two-sided interval
  uint32_t resamples = 9999;
  uint64_t seed = 0;
};
struct BootstrapResult {
  double estimate = 0;
  double standard_error = 0;   // standard deviation of the resamples' statistics
  double jackknife_error = 0;  // the jackknife's (Efron, Tibshirani 1993, 11.5)
  Interval interval;
};
// At least two examples. The same options and sample, the same numbers. scipy:
// bootstrap(paired=True, method="BCa"); a sample whose resamples are all alike has an interval of
// no width, where scipy's is not a number.
BootstrapResult BootstrapBca(const SumSample& sample, const SumFunction& statistic,
                             const BootstrapOptions& options);

// The interval out of what was resampled: statistics of the resamples, and of the sample without
// each one of its examples.
Interval BcaInterval(double estimate, std::vector<double> resampled,
                     const std::vector<double>& jackknife, double confidence);

// How many resamples: 9,999 up to 5,000 examples, then fewer so that a second suffices, at least
// 1,999, which are reached at 25,000. The standard error of a 5 % tail is 0.2 % or 0.5 %.
uint32_t Resamples(size_t examples);

// A bootstrap's variance is (n - 1) / n of the unbiased one, and it takes the normal's tails where
// Student's would be right; so with few examples its intervals are too narrow. The two-sided
// confidence to ask it for so that for a mean the interval has the width of Student's (Hesterberg
// 2015, The American Statistician 69, 371-386, "expanded percentile"). examples > 1; may be an
// effective number.
double ExpandedConfidence(double confidence, double examples);

// Student's interval with so many examples, which may be an effective number above 1. confidence is
// two-sided.
Interval StudentInterval(double estimate, double standard_error, double examples,
                         double confidence);

// As many equal weights as vary a weighted mean as these do: (sum w)^2 / sum w^2 (Kish 1965).
double EffectiveExamples(std::span<const double> weights);

// How many examples a one-sided test at confidence needs so that it passes with probability power
// when the estimate is `distance` inside of its bound, one example's contribution having standard
// deviation `deviation`: ((z_confidence + z_power) * deviation / distance)^2. SIZE_MAX when
// distance is not positive.
size_t NeededExamples(double deviation, double distance, double confidence, double power);

}  // namespace attune::statistics
