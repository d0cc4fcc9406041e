#include "common/gates/text.h"

#include <cmath>

#include "common/base/text.h"

namespace attune::gates {

std::string Percent(double share) {
  return ShortNumber(100 * share) + " %";
}

std::string Bound(Side side, double bound, double confidence) {
  return std::string(side == Side::kAtMost ? "at most " : "at least ") + ShortNumber(bound) + ", " +
         Percent(confidence) + " sure";
}

std::string WorseBy(double value) {
  return (value >= 0 ? "worse by " : "better by ") + ShortNumber(std::abs(value));
}

std::string WorseByBound(double value, Side side, double bound, double confidence) {
  const bool worse = bound >= 0;
  // At most worse by a negative number is better by that at least.
  if (!worse) side = side == Side::kAtMost ? Side::kAtLeast : Side::kAtMost;
  const char* direction = worse == (value >= 0) ? "by " : worse ? "worse by " : "better by ";
  return direction + Bound(side, std::abs(bound), confidence);
}

}  // namespace attune::gates
