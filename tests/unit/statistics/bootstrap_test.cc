#include "common/statistics/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>

namespace attune::statistics {
namespace {

SumSample Values(const std::vector<double>& values) {
  SumSample sample(2);
  for (double value : values) sample.Add(std::vector<SumSample::Term>{{0, value}, {1, 1.0}});
  return sample;
}
double Mean(const std::vector<double>& sums) {
  return sums[0] / sums[1];
}

TEST(Bootstrap, IsAFunctionOfItsSeed) {
  const SumSample sample = Values({1, 2, 3, 5, 8, 13, 21, 34, 55, 89});
  const auto first = BootstrapBca(sample, Mean, {.resamples = 999, .seed = 7});
  const auto again = BootstrapBca(sample, Mean, {.resamples = 999, .seed = 7});
  const auto other = BootstrapBca(sample, Mean, {.resamples = 999, .seed = 8});
  EXPECT_EQ(first.interval.lower, again.interval.lower);
  EXPECT_EQ(first.interval.upper, again.interval.upper);
  EXPECT_NE(first.interval.upper, other.interval.upper);
  EXPECT_DOUBLE_EQ(first.estimate, 23.1);
  EXPECT_LT(first.interval.lower, first.estimate);
  EXPECT_GT(first.interval.upper, first.estimate);
  // Of a mean the jackknife's is the usual standard error, deviation / sqrt(n).
  EXPECT_NEAR(first.jackknife_error, 28.826878 / std::sqrt(10), 1e-3);
}

TEST(StudentInterval, IsTheTextbooks) {
  // t of 9 degrees of freedom at 5 % each side is 1.833113.
  const Interval interval = StudentInterval(1.0, 2.0, 10, 0.9);
  EXPECT_NEAR(interval.lower, 1 - 2 * 1.833113, 1e-5);
  EXPECT_NEAR(interval.upper, 1 + 2 * 1.833113, 1e-5);
}

TEST(Bootstrap, OfEqualValuesHasNoWidth) {
  const auto result = BootstrapBca(Values(std::vector<double>(12, 0.5)), Mean, {.resamples = 99});
  EXPECT_DOUBLE_EQ(result.interval.lower, 0.5);
  EXPECT_DOUBLE_EQ(result.interval.upper, 0.5);
  EXPECT_EQ(result.standard_error, 0);
}

TEST(Bootstrap, StaysWithinWhatWasResampledWhenTheCorrectionBreaksDown) {
  // One enormous value: the acceleration meets its pole.
  std::vector<double> values(9, 0.0);
  values.push_back(1e12);
  const auto result = BootstrapBca(Values(values), Mean, {.confidence = 0.999, .resamples = 999});
  EXPECT_GE(result.interval.lower, 0);
  EXPECT_LE(result.interval.upper, 1e12);
  EXPECT_LE(result.interval.lower, result.interval.upper);
}

TEST(Bootstrap, ResamplesFallWithTheNumberOfExamples) {
  EXPECT_EQ(Resamples(10), 9999u);
  EXPECT_EQ(Resamples(5000), 9999u);
  EXPECT_EQ(Resamples(10'000), 5000u);
  EXPECT_EQ(Resamples(1'000'000), 1999u);
}

TEST(EffectiveExamples, CountUnequalWeightsForLess) {
  EXPECT_DOUBLE_EQ(EffectiveExamples(std::vector<double>{2, 2, 2, 2}), 4);
  EXPECT_NEAR(EffectiveExamples(std::vector<double>{1000, 1, 1, 1}), 1.006, 1e-3);
  EXPECT_EQ(EffectiveExamples(std::vector<double>{0, 0}), 0);
}

TEST(NeededExamples, AreThoseOfThePowerFormula) {
  // (1.644854 + 0.841621)^2 * 0.2^2 / 0.05^2 = 98.92
  EXPECT_EQ(NeededExamples(0.2, 0.05, 0.95, 0.8), 99u);
  EXPECT_EQ(NeededExamples(0.2, 0, 0.95, 0.8), SIZE_MAX);
  EXPECT_EQ(NeededExamples(1e9, 1e-9, 0.95, 0.8), SIZE_MAX);
}

}  // namespace
}  // namespace attune::statistics
