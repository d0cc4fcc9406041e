#pragma once

// The population stability index: how far shares are from those of a reference.

#include <cstddef>
#include <span>

namespace attune::statistics {

// sum (r - w) ln(r / w) over the shares r and w of the categories, which is Kullback and Leibler's
// (1951) symmetric divergence. Shares of zero are filled as Evidently 0.7 does: with 0.0001, or
// with a millionth of the least other share where that is at most 0.0001. Evidently: stattest "psi"
// of the same categories. Each sample has a count.
double PopulationStability(std::span<const double> reference, std::span<const double> window);

// What sampling alone makes of the index on average: (categories - 1)(1/n + 1/m) (Yurdakul, Naranjo
// 2020, J. Risk Model Validation 14(4)). An index less this does not depend on the samples' sizes.
double PopulationStabilityOfChance(size_t categories, double reference_examples,
                                   double window_examples);

}  // namespace attune::statistics
