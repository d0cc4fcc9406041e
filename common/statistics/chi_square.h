#pragma once

// Whether two samples have the same shares of categories.

#include <cstddef>
#include <span>
#include <vector>

namespace attune::statistics {

// Counts of the same categories in two samples.
struct CountTable {
  std::vector<double> a, b;
};

struct ChiSquareResult {
  double statistic = 0;
  double degrees = 0;
  double p_value = 1;  // 1 when fewer than two categories have a count
};

// Pearson's test of homogeneity. Equal lengths; categories without a count in either sample are
// left out. scipy: chi2_contingency([a, b], correction=False).
ChiSquareResult ChiSquareOfHomogeneity(std::span<const double> a, std::span<const double> b);

// The table with every category whose expected count is below expected_min in either sample merged
// into one, put last (Cochran 1954: 5); if that one is itself too rare, the rarest of the others
// joins it.
CountTable MergeRare(const CountTable& table, double expected_min);

}  // namespace attune::statistics
