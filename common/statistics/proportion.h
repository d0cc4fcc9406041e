#pragma once

// Intervals for a share: of trials that succeed independently with one probability.
//
// confidence is that of the two-sided interval, in (0, 1); a one-sided bound at confidence c is the
// end of the two-sided interval at 2c - 1 (OneSided).

#include <cstdint>

namespace attune::statistics {

struct Interval {
  double lower = 0;
  double upper = 0;
};

// The confidence of the two-sided interval whose ends are each one-sided bounds at confidence.
inline double OneSided(double confidence) {
  return 2 * confidence - 1;
}

// Exact: its coverage is at least confidence, whatever the probability (Clopper, Pearson 1934).
// successes <= trials, trials > 0. statsmodels: proportion_confint(method="beta").
Interval ClopperPearson(uint64_t successes, uint64_t trials, double confidence);

// Score interval: coverage near confidence on average, narrower (Wilson 1927). statsmodels:
// proportion_confint(method="wilson").
Interval Wilson(uint64_t successes, uint64_t trials, double confidence);

}  // namespace attune::statistics
