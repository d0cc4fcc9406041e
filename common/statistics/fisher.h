#pragma once

#include <cstdint>

namespace attune::statistics {

// p-value that a of n and b of m come from one share: Fisher's exact test, two-sided as twice the
// smaller tail (at most 1), which holds its level at any size where chi-square's tail does not.
// a <= n, b <= m. scipy: min(1, 2 min(hypergeom.cdf, hypergeom.sf)).
double FisherExact(uint64_t a, uint64_t n, uint64_t b, uint64_t m);

}  // namespace attune::statistics
