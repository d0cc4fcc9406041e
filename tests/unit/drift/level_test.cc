#include "coordinator/drift/level.h"

#include <gtest/gtest.h>

#include <cmath>

namespace attune::drift {
namespace {

TEST(ChanceInRow, IsThePowerWithoutCorrelationAndTheLevelWithoutPersistence) {
  EXPECT_NEAR(ChanceInRow(0.05, 3, 0), 0.05 * 0.05 * 0.05, 1e-9);
  EXPECT_NEAR(ChanceInRow(0.01, 1, 0.5), 0.01, 1e-7);
}

// Of two standard normal variables that correlate by r, both are positive with a chance of
// 1/4 + asin(r) / (2 pi) (Sheppard 1899).
TEST(ChanceInRow, AgreesWithSheppard) {
  for (const double r : {0.2, 0.5, 0.8}) {
    EXPECT_NEAR(ChanceInRow(0.5, 2, r), 0.25 + std::asin(r) / (2 * M_PI), 1e-6);
  }
}

TEST(WindowLevel, MakesTheWantedChance) {
  for (const double correlation : {0.0, 0.1, 0.5}) {
    for (const uint32_t persistence : {1u, 2u, 3u}) {
      const double level = WindowLevel(0.05, 168, persistence, correlation);
      if (level < kLevelMost) {
        EXPECT_NEAR(ChanceInRow(level, persistence, correlation) * 168, 0.05, 1e-4);
      } else {
        EXPECT_LE(ChanceInRow(level, persistence, correlation) * 168, 0.05);
      }
    }
  }
}

TEST(WindowLevel, PersistenceHelpsLessThanIfWindowsWereIndependent) {
  const double independent = WindowLevel(0.05, 168, 2, 0);
  EXPECT_NEAR(independent, std::sqrt(0.05 / 168), 1e-4);
  EXPECT_LT(WindowLevel(0.05, 168, 2, 0.5), independent / 3);
  EXPECT_GT(WindowLevel(0.05, 168, 2, 0.5), 0.05 / 168);
}

TEST(WindowLevel, IsAtMostFivePercent) {
  EXPECT_EQ(WindowLevel(0.05, 1, 3, 0), kLevelMost);
}

}  // namespace
}  // namespace attune::drift
