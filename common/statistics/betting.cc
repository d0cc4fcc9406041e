#include "common/statistics/betting.h"

#include <algorithm>
#include <cmath>

#include "common/base/status.h"

namespace attune::statistics {

double LogBettingWealth(std::span<const double> values, const BettingOptions& options) {
  ATTUNE_CHECK(options.bound > 0 && options.bound < 1 && options.guess_weight > 0);
  double weight = options.guess_weight;
  double mean = options.guess_mean;
  double squares = options.guess_variance * weight;  // of deviations from the mean
  double log_wealth = 0;
  for (const double value : values) {
    ATTUNE_CHECK(value >= 0 && value <= 1);
    const double excess = mean - options.bound;
    const double variance = std::max(squares / weight, 1e-12);
    const double bet = std::clamp(excess / (variance + excess * excess), 0.0, 0.5 / options.bound);
    log_wealth += std::log1p(bet * (value - options.bound));
    weight += 1;
    const double off = value - mean;
    mean += off / weight;
    squares += off * (value - mean);
  }
  return log_wealth;
}

}  // namespace attune::statistics
