#pragma once

// Two classifiers (or graders) on the same examples, each right or wrong on each: what the examples
// say on which they differ.

#include <cstdint>

#include "common/statistics/proportion.h"

namespace attune::statistics {

// Of `pairs` examples, only the first was right on `first_only` and only the second on
// `second_only`.
struct PairedShares {
  uint64_t first_only = 0;
  uint64_t second_only = 0;
  uint64_t pairs = 0;
};

// Two-sided p-values of "both are right equally often".
struct McNemarResult {
  double exact = 1;  // binomial; statsmodels: mcnemar(exact=True)
  double mid_p = 1;  // half the weight for the observed table (Fagerland, Lydersen, Laake 2013)
};
McNemarResult McNemar(const PairedShares& shares);

// Score interval for (share of the first) - (share of the second), two-sided at confidence: the
// differences that the score test with nuisance parameter at its restricted maximum likelihood does
// not reject (Tango 1998, Statistics in Medicine 17, 891-908). It keeps its width when the two
// differ nowhere: z^2 / (n + z^2) on both sides. pairs > 0.
Interval TangoInterval(const PairedShares& shares, double confidence);

}  // namespace attune::statistics
