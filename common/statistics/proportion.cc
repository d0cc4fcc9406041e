#include "common/statistics/proportion.h"

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>

#include "common/base/status.h"

namespace attune::statistics {

Interval ClopperPearson(uint64_t successes, uint64_t trials, double confidence) {
  ATTUNE_CHECK(trials > 0 && successes <= trials);
  ATTUNE_CHECK(confidence > 0 && confidence < 1);
  using boost::math::beta_distribution;
  const double tail = (1 - confidence) / 2;
  const double good = static_cast<double>(successes);
  const double bad = static_cast<double>(trials - successes);
  Interval interval{0, 1};
  if (good > 0) interval.lower = quantile(beta_distribution<>(good, bad + 1), tail);
  if (bad > 0) interval.upper = quantile(complement(beta_distribution<>(good + 1, bad), tail));
  return interval;
}

Interval Wilson(uint64_t successes, uint64_t trials, double confidence) {
  ATTUNE_CHECK(trials > 0 && successes <= trials);
  ATTUNE_CHECK(confidence > 0 && confidence < 1);
  const double n = static_cast<double>(trials);
  const double share = static_cast<double>(successes) / n;
  const double z = quantile(complement(boost::math::normal_distribution<>(), (1 - confidence) / 2));
  const double scale = 1 + z * z / n;
  const double center = (share + z * z / (2 * n)) / scale;
  const double half = z / scale * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  // The ends are exact where rounding would leave something.
  return {successes == 0 ? 0.0 : std::max(0.0, center - half),
          successes == trials ? 1.0 : std::min(1.0, center + half)};
}

}  // namespace attune::statistics
