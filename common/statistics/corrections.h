#pragma once

#include <span>
#include <vector>

namespace attune::statistics {

// p-values adjusted for being several, in their order: those at most a level hold the chance of any
// false one at that level, however the tests depend on each other (Holm 1979). statsmodels:
// multipletests(method="holm").
std::vector<double> Holm(std::span<const double> p_values);

}  // namespace attune::statistics
