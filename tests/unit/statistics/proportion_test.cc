#include "common/statistics/proportion.h"

#include <gtest/gtest.h>

#include <cmath>

namespace attune::statistics {
namespace {

TEST(ClopperPearson, HasClosedFormsAtTheEnds) {
  // No failure of n: the lower end solves p^n = tail (the rule of three).
  const Interval all = ClopperPearson(20, 20, 0.9);
  EXPECT_NEAR(all.lower, std::pow(0.05, 1.0 / 20), 1e-12);
  EXPECT_EQ(all.upper, 1.0);
  const Interval none = ClopperPearson(0, 20, 0.9);
  EXPECT_EQ(none.lower, 0.0);
  EXPECT_NEAR(none.upper, 1 - all.lower, 1e-12);
}

TEST(Wilson, StaysInsideTheUnitInterval) {
  const Interval none = Wilson(0, 10, 0.95);
  EXPECT_EQ(none.lower, 0.0);
  // At zero successes the upper end is z^2 / (n + z^2).
  const double z2 = 1.959963984540054 * 1.959963984540054;
  EXPECT_NEAR(none.upper, z2 / (10 + z2), 1e-12);
  EXPECT_EQ(Wilson(10, 10, 0.95).upper, 1.0);
}

}  // namespace
}  // namespace attune::statistics
