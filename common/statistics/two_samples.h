#pragma once

// Whether two samples of a number come from one distribution.

#include <span>

namespace attune::statistics {

struct KsResult {
  double distance = 0;  // the largest difference of the two empirical distribution functions
  double p_value = 1;
};

// Kolmogorov and Smirnov's two-sided test; both samples have a value. The p-value is exact for
// continuous distributions (and an upper bound where values repeat) while n m is at most
// kKsExactMost, else Kolmogorov's limit with Stephens' (1970) correction for finite samples.
// scipy: ks_2samp(method="exact"), ks_2samp(method="asymp").
inline constexpr double kKsExactMost = 1e7;
KsResult KolmogorovSmirnov(std::span<const double> a, std::span<const double> b);

struct MannWhitneyResult {
  double auc = 0.5;  // chance that a value of b is above one of a; half of the equal ones count
  double z = 0;
  double p_value = 1;  // one-sided: that b is not above a
};

// Normal approximation with corrections for ties and continuity; both samples have a value.
// scipy: mannwhitneyu(b, a, alternative="greater", method="asymptotic").
MannWhitneyResult MannWhitney(std::span<const double> a, std::span<const double> b);

// P(Z > z) of the standard normal distribution.
double NormalTail(double z);

}  // namespace attune::statistics
