#include "coordinator/drift/level.h"

#include <algorithm>
#include <cmath>

#include "common/statistics/two_samples.h"

namespace attune::drift {
namespace {

// P(Z_1 > z, ..., Z_k > z) of standard normal variables that correlate by `correlation`: given the
// part u that they share, they are independent.
double Orthant(double z, uint32_t k, double correlation) {
  const double shared = std::sqrt(correlation), own = std::sqrt(1 - correlation);
  constexpr int kSteps = 800;
  constexpr double kFrom = -9, kTo = 9, kStep = (kTo - kFrom) / kSteps;
  double sum = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const double u = kFrom + kStep * i;
    const double weight = i == 0 || i == kSteps ? 1 : (i % 2 == 1 ? 4 : 2);  // Simpson's rule
    const double one = statistics::NormalTail((z - shared * u) / own);
    double all = weight * std::exp(-u * u / 2);
    for (uint32_t window = 0; window < k; ++window) all *= one;
    sum += all;
  }
  return sum * kStep / 3 / std::sqrt(2 * M_PI);
}

double Bisect(double low, double high, const auto& below) {
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (below(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace

double ChanceInRow(double level, uint32_t persistence, double correlation) {
  const double rho = std::clamp(correlation, 0.0, 0.99);
  const double z = Bisect(-9, 9, [&](double x) { return statistics::NormalTail(x) > level; });
  return Orthant(z, std::max(persistence, 1u), rho);
}

double WindowLevel(double false_alarms_per_week, double looks_per_week, uint32_t persistence,
                   double correlation) {
  const double wanted = false_alarms_per_week / std::max(looks_per_week, 1e-9);
  const double rho = std::clamp(correlation, 0.0, 0.99);
  if (ChanceInRow(kLevelMost, persistence, rho) <= wanted) return kLevelMost;
  // The largest z whose chance is still too large, which is also the smallest that is not.
  const double z =
      Bisect(0, 9, [&](double x) { return Orthant(x, std::max(persistence, 1u), rho) > wanted; });
  return statistics::NormalTail(z);
}

}  // namespace attune::drift
