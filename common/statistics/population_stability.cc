#include "common/statistics/population_stability.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "common/base/status.h"

namespace attune::statistics {
namespace {

std::vector<double> FilledShares(std::span<const double> counts) {
  const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
  ATTUNE_CHECK(sum > 0);
  std::vector<double> shares;
  double least = 1;
  for (const double count : counts) {
    shares.push_back(count / sum);
    if (count > 0) least = std::min(least, shares.back());
  }
  const double fill = least <= 0.0001 ? least / 1e6 : 0.0001;
  for (double& share : shares) {
    if (share == 0) share = fill;
  }
  return shares;
}

}  // namespace

double PopulationStability(std::span<const double> reference, std::span<const double> window) {
  ATTUNE_CHECK(reference.size() == window.size());
  const std::vector<double> r = FilledShares(reference), w = FilledShares(window);
  double index = 0;
  for (size_t i = 0; i < r.size(); ++i) {
    if (reference[i] + window[i] > 0) index += (r[i] - w[i]) * std::log(r[i] / w[i]);
  }
  return index;
}

double PopulationStabilityOfChance(size_t categories, double reference_examples,
                                   double window_examples) {
  if (categories < 2) return 0;
  return static_cast<double>(categories - 1) * (1 / reference_examples + 1 / window_examples);
}

}  // namespace attune::statistics
