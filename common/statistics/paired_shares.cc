#include "common/statistics/paired_shares.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>

#include "common/base/status.h"

namespace attune::statistics {
namespace {

// The score statistic at difference delta; falls as delta grows.
double Score(const PairedShares& shares, double delta) {
  const double n = static_cast<double>(shares.pairs);
  const double b = static_cast<double>(shares.first_only);
  const double c = static_cast<double>(shares.second_only);
  // The restricted estimate of the probability of second_only: a root of 2n q^2 + B q + C.
  const double linear = -b - c + (2 * n - b + c) * delta;
  const double constant = -c * delta * (1 - delta);
  const double root = std::sqrt(std::max(0.0, linear * linear - 8 * n * constant));
  // The form without cancellation for either sign.
  double q = linear <= 0           ? (root - linear) / (4 * n)
             : root + linear > 0.0 ? -2 * constant / (root + linear)
                                   : 0.0;
  q = std::max({q, 0.0, -delta});
  const double variance = n * (2 * q + delta * (1 - delta));
  const double excess = b - c - n * delta;
  if (variance <= 0) return excess == 0 ? 0 : excess > 0 ? HUGE_VAL : -HUGE_VAL;
  return excess / std::sqrt(variance);
}

// Where the statistic crosses target, within [low, high].
double Crossing(const PairedShares& shares, double low, double high, double target) {
  for (int i = 0; i < 200 && high - low > 1e-15; ++i) {
    const double middle = (low + high) / 2;
    (Score(shares, middle) > target ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

McNemarResult McNemar(const PairedShares& shares) {
  const uint64_t fewer = std::min(shares.first_only, shares.second_only);
  const uint64_t differing = shares.first_only + shares.second_only;
  if (differing == 0) return {};
  const boost::math::binomial_distribution<> fair(static_cast<double>(differing), 0.5);
  const double tail = cdf(fair, static_cast<double>(fewer));
  const double point = pdf(fair, static_cast<double>(fewer));
  McNemarResult result;
  result.exact = std::min(1.0, 2 * tail);
  result.mid_p = 2 * fewer == differing ? 1 - point / 2 : 2 * tail - point;
  return result;
}

Interval TangoInterval(const PairedShares& shares, double confidence) {
  ATTUNE_CHECK(shares.pairs > 0);
  ATTUNE_CHECK(shares.first_only + shares.second_only <= shares.pairs);
  ATTUNE_CHECK(confidence > 0 && confidence < 1);
  const double z = quantile(complement(boost::math::normal_distribution<>(), (1 - confidence) / 2));
  const double n = static_cast<double>(shares.pairs);
  const double estimate =
      (static_cast<double>(shares.first_only) - static_cast<double>(shares.second_only)) / n;
  return {estimate <= -1 ? -1 : Crossing(shares, -1, estimate, z),
          estimate >= 1 ? 1 : Crossing(shares, estimate, 1, -z)};
}

}  // namespace attune::statistics
