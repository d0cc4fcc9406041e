#include "common/statistics/log_odds.h"

#include <cmath>

namespace attune::statistics {

double LogOddsZ(double count_a, double total_a, double count_b, double total_b, double prior_count,
                double prior_total) {
  const double a = count_a + prior_count, b = count_b + prior_count;
  const double not_a = total_a + prior_total - a, not_b = total_b + prior_total - b;
  return (std::log(a / not_a) - std::log(b / not_b)) / std::sqrt(1 / a + 1 / b);
}

}  // namespace attune::statistics
