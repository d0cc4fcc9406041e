#include "common/gates/text.h"

#include <gtest/gtest.h>

namespace attune::gates {
namespace {

TEST(WorseByBound, NamesTheDirectionWhereItIsAnother) {
  const auto text = [](double value, Side side, double bound) {
    return WorseBy(value) + " (" + WorseByBound(value, side, bound, 0.95) + ")";
  };
  EXPECT_EQ(text(0.39, Side::kAtMost, 0.46), "worse by 0.39 (by at most 0.46, 95 % sure)");
  EXPECT_EQ(text(0.39, Side::kAtLeast, 0.31), "worse by 0.39 (by at least 0.31, 95 % sure)");
  EXPECT_EQ(text(0.01, Side::kAtLeast, -0.02), "worse by 0.01 (better by at most 0.02, 95 % sure)");
  EXPECT_EQ(text(-0.05, Side::kAtMost, 0.02), "better by 0.05 (worse by at most 0.02, 95 % sure)");
  EXPECT_EQ(text(-0.05, Side::kAtMost, -0.03), "better by 0.05 (by at least 0.03, 95 % sure)");
  EXPECT_EQ(text(-0.05, Side::kAtLeast, -0.07), "better by 0.05 (by at most 0.07, 95 % sure)");
}

}  // namespace
}  // namespace attune::gates
