#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "common/statistics/k_means.h"
#include "common/statistics/logistic.h"
#include "common/statistics/matrix.h"
#include "common/statistics/mmd.h"
#include "tests/unit/statistics/samples.h"

namespace attune::statistics {
namespace {

using test::Rows;

TEST(MultiplyTransposed, IsTheSumOfProductsAtEveryShape) {
  Random random(1);
  for (const auto& [a_rows, b_rows, width] :
       {std::array<size_t, 3>{1, 1, 1}, {6, 16, 384}, {7, 17, 385}, {100, 33, 800}, {5, 48, 3}}) {
    const std::vector<float> a = Rows(random, a_rows, width), b = Rows(random, b_rows, width);
    std::vector<float> c(a_rows * b_rows, -1);
    MultiplyTransposed(a.data(), a_rows, b.data(), b_rows, width, c.data(), 2);
    for (size_t i = 0; i < a_rows; ++i) {
      for (size_t j = 0; j < b_rows; ++j) {
        double sum = 0;
        for (size_t k = 0; k < width; ++k) sum += double{a[i * width + k]} * b[j * width + k];
        ASSERT_NEAR(c[i * b_rows + j], sum, 1e-4) << i << " " << j;
      }
    }
  }
}

MmdResult Mmd(const std::vector<float>& x, const std::vector<float>& y, size_t exact_most,
              int threads = 2) {
  MmdOptions options;
  options.exact_most = exact_most;
  options.threads = threads;
  options.features = 2048;
  return MaximumMeanDiscrepancy(x, y, 16, options);
}

// The same test by features and by the kernel: equal but for what 1,024 frequencies leave open.
TEST(MaximumMeanDiscrepancy, OfFeaturesIsThatOfTheKernel) {
  Random random(2);
  const std::vector<float> x = Rows(random, 300, 16);
  const std::vector<float> near = Rows(random, 250, 16), far = Rows(random, 250, 16, 0.8);
  const std::vector<float> wide = Rows(random, 250, 16, 0, 1.2);
  const double unit = Mmd(x, far, 2000).mmd2;
  EXPECT_NEAR(Mmd(x, near, 0).mmd2 / unit, Mmd(x, near, 2000).mmd2 / unit, 0.1);
  EXPECT_NEAR(Mmd(x, far, 0).mmd2 / unit, 1, 0.15);
  for (const size_t exact_most : {size_t{0}, size_t{2000}}) {
    EXPECT_GT(Mmd(x, near, exact_most).p_value, 0.05);
    EXPECT_NEAR(Mmd(x, near, exact_most).auc, 0.5, 0.06);
    EXPECT_LT(Mmd(x, far, exact_most).p_value, 1e-5);
    EXPECT_GT(Mmd(x, far, exact_most).auc, 0.6);
    // The same mean: no linear classifier sees it, the witness function does.
    EXPECT_LT(Mmd(x, wide, exact_most).p_value, 1e-4);
  }
}

TEST(MaximumMeanDiscrepancy, IsTheSameWithAnyNumberOfThreads) {
  Random random(3);
  const std::vector<float> x = Rows(random, 150, 16), y = Rows(random, 120, 16, 0.2);
  for (const size_t exact_most : {size_t{0}, size_t{2000}}) {
    const MmdResult one = Mmd(x, y, exact_most, 1), three = Mmd(x, y, exact_most, 3);
    EXPECT_EQ(one.mmd2, three.mmd2);
    EXPECT_EQ(one.p_value, three.p_value);
    EXPECT_EQ(one.auc, three.auc);
  }
}

// Of the p-values of samples that do not differ, a share a is at most a. Three standard deviations.
constexpr double kLevel = 0.02;

double Most(int trials) {
  return trials * kLevel + 3 * std::sqrt(trials * kLevel * (1 - kLevel));
}

TEST(MaximumMeanDiscrepancy, HoldsItsLevelWhenNothingDiffers) {
  constexpr int kTrials = 400;
  Random random(4);
  int features = 0, kernel = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const std::vector<float> x = Rows(random, 60, 16), y = Rows(random, 50, 16);
    MmdOptions options;
    options.permutations = 199;
    options.features = 256;
    options.seed = static_cast<uint64_t>(trial);
    kernel += MaximumMeanDiscrepancy(x, y, 16, options).p_value <= kLevel ? 1 : 0;
    options.exact_most = 0;
    features += MaximumMeanDiscrepancy(x, y, 16, options).p_value <= kLevel ? 1 : 0;
  }
  EXPECT_LE(kernel, Most(kTrials));
  EXPECT_LE(features, Most(kTrials));
  EXPECT_GT(kernel, 0);
  EXPECT_GT(features, 0);
}

// The test of all out-of-fold scores together says so more than twice as often.
TEST(DomainClassifier, HoldsItsLevelWhenNothingDiffers) {
  constexpr int kTrials = 500;
  Random random(8);
  int below = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const std::vector<float> x = Rows(random, 60, 64), y = Rows(random, 50, 64);
    DomainClassifierOptions options;
    options.seed = static_cast<uint64_t>(trial);
    below += DomainClassifier(x, y, 64, options).p_value <= kLevel ? 1 : 0;
  }
  EXPECT_LE(below, Most(kTrials));
  EXPECT_GT(below, 0);
}

// Samples whose means differ by d standard deviations along one line: the best classifier's AUC is
// Phi(d / sqrt 2), 0.714 of d = 0.8.
TEST(DomainClassifier, FindsTheAucOfAShift) {
  Random random(5);
  const std::vector<float> x = Rows(random, 2000, 8), y = Rows(random, 1500, 8, 0.8);
  const DomainClassifierResult result = DomainClassifier(x, y, 8, {});
  EXPECT_NEAR(result.auc, 0.714, 0.02);
  EXPECT_LT(result.p_value, 1e-20);
}

TEST(DomainClassifier, TakesAPartOfLargeSamplesAndAnyNumberOfThreads) {
  Random random(6);
  const std::vector<float> x = Rows(random, 900, 8), y = Rows(random, 700, 8, 1.0);
  DomainClassifierOptions options;
  options.examples_most = 400;
  options.threads = 1;
  const DomainClassifierResult one = DomainClassifier(x, y, 8, options);
  options.threads = 4;
  const DomainClassifierResult four = DomainClassifier(x, y, 8, options);
  EXPECT_EQ(one.auc, four.auc);
  EXPECT_EQ(one.p_value, four.p_value);
  EXPECT_NEAR(one.auc, 0.76, 0.04);
}

TEST(PermutationP, CountsWhereThereIsEnoughToCount) {
  std::vector<double> null;
  for (int i = 1; i <= 999; ++i) null.push_back(i);
  EXPECT_DOUBLE_EQ(PermutationP(900.5, null), 0.1);
  EXPECT_DOUBLE_EQ(PermutationP(0, null), 1);
  EXPECT_LT(PermutationP(2000, null), 1e-5);
  EXPECT_DOUBLE_EQ(PermutationP(3, std::vector<double>{3, 3, 3}), 1);
}

TEST(KMeans, FindsGroupsThatAreApart) {
  Random random(7);
  std::vector<float> rows;
  for (size_t i = 0; i < 300; ++i) {
    rows.push_back(static_cast<float>(10.0 * static_cast<double>(i % 3) + test::Normal(random)));
    rows.push_back(static_cast<float>(i % 3 == 1 ? 5 + test::Normal(random) : 0));
  }
  KMeansOptions options;
  options.clusters = 3;
  const std::vector<float> centers = KMeans(rows, 2, options);
  const std::vector<Nearest> nearest = FindNearest(rows, centers, 2, 1);
  std::set<size_t> used;
  for (size_t i = 0; i < nearest.size(); ++i) {
    EXPECT_EQ(nearest[i].center, nearest[i % 3].center) << i;
    EXPECT_LT(nearest[i].distance, 5);
    EXPECT_GT(nearest[i].second, 5);
    used.insert(nearest[i].center);
  }
  EXPECT_EQ(used.size(), 3u);
}

TEST(KMeans, TakesFewerRowsThanClustersAndEqualRows) {
  KMeansOptions options;
  options.clusters = 5;
  EXPECT_EQ(KMeans(std::vector<float>{1, 2}, 2, options).size(), 2u);
  EXPECT_EQ(KMeans(std::vector<float>(40, 1.0f), 2, options).size(), 10u);
}

}  // namespace
}  // namespace attune::statistics
