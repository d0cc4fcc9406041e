#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/statistics/betting.h"
#include "common/statistics/chi_square.h"
#include "common/statistics/distances.h"
#include "common/statistics/fisher.h"
#include "common/statistics/log_odds.h"
#include "common/statistics/population_stability.h"
#include "common/statistics/two_samples.h"
#include "tests/unit/statistics/samples.h"

namespace attune::statistics {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(MergeRare, MergesWhatIsExpectedTooSeldomAndKeepsAllCounts) {
  // Expected in the second sample: a quarter of both.
  const CountTable merged = MergeRare({{300, 12, 9, 6, 0}, {100, 4, 3, 1, 1}}, 5);
  EXPECT_THAT(merged.a, ElementsAre(300, 27));
  EXPECT_THAT(merged.b, ElementsAre(100, 9));
}

TEST(MergeRare, ARestThatIsTooRareTakesTheRarestOther) {
  const CountTable merged = MergeRare({{100, 40, 1}, {100, 30, 0}}, 5);
  EXPECT_THAT(merged.a, ElementsAre(100, 41));
  EXPECT_THAT(merged.b, ElementsAre(100, 30));
}

TEST(MergeRare, LeavesFrequentOnesAlone) {
  const CountTable merged = MergeRare({{50, 50}, {20, 60}}, 5);
  EXPECT_THAT(merged.a, ElementsAre(50, 50));
  EXPECT_THAT(merged.b, ElementsAre(20, 60));
}

TEST(ChiSquareOfHomogeneity, SaysNothingOfOneCategory) {
  EXPECT_EQ(ChiSquareOfHomogeneity(std::vector<double>{5, 0}, std::vector<double>{7, 0}).p_value,
            1);
  EXPECT_EQ(ChiSquareOfHomogeneity(std::vector<double>{5, 3}, std::vector<double>{0, 0}).p_value,
            1);
}

TEST(KolmogorovSmirnov, OfSamplesApartIsTheSmallestChance) {
  // 2 of the choose(6, 3) orders are as far apart.
  const KsResult result =
      KolmogorovSmirnov(std::vector<double>{1, 2, 3}, std::vector<double>{4, 5, 6});
  EXPECT_EQ(result.distance, 1);
  EXPECT_NEAR(result.p_value, 2.0 / 20, 1e-12);
}

TEST(KolmogorovSmirnov, OfEqualSamplesIsOne) {
  const std::vector<double> values(20, 3.0);
  EXPECT_EQ(KolmogorovSmirnov(values, values).p_value, 1);
}

TEST(MannWhitney, OfEqualValuesIsHalf) {
  const std::vector<double> values(20, 3.0);
  EXPECT_EQ(MannWhitney(values, values).auc, 0.5);
  EXPECT_EQ(MannWhitney(values, values).p_value, 1);
}

TEST(FisherExact, IsSymmetricAndOneWithoutADifference) {
  EXPECT_NEAR(FisherExact(3, 20, 9, 15), FisherExact(9, 15, 3, 20), 1e-12);
  EXPECT_EQ(FisherExact(0, 20, 0, 30), 1);
  EXPECT_EQ(FisherExact(20, 20, 30, 30), 1);
  EXPECT_EQ(FisherExact(10, 20, 15, 30), 1);
}

TEST(PopulationStability, LessWhatChanceMakesOfItDoesNotDependOnTheSize) {
  Random random(1);
  for (const size_t size : {size_t{200}, size_t{20000}}) {
    double sum = 0;
    constexpr int kTrials = 200;
    for (int trial = 0; trial < kTrials; ++trial) {
      std::vector<double> a(10, 0.0), b(10, 0.0);
      for (size_t i = 0; i < size; ++i) {
        ++a[random.Below(10)];
        ++b[random.Below(10)];
      }
      const auto n = static_cast<double>(size);
      sum += PopulationStability(a, b) / PopulationStabilityOfChance(10, n, n);
    }
    EXPECT_NEAR(sum / kTrials, 1, 0.2) << size;
  }
}

TEST(Wasserstein, OfWhatIsMovedIsHowFar) {
  const std::vector<double> a{1, 2, 4, 8}, moved{2.5, 3.5, 5.5, 9.5}, one{3};
  EXPECT_NEAR(Wasserstein(a, moved), 1.5, 1e-12);
  EXPECT_NEAR(Wasserstein(moved, a), 1.5, 1e-12);
  EXPECT_EQ(Wasserstein(a, a), 0);
  EXPECT_EQ(WassersteinOfChance(one, one), 0);
}

TEST(JensenShannon, OfSharesWithNothingInCommonIsTheMost) {
  const std::vector<double> a{3, 0}, b{0, 5}, both{2, 2};
  EXPECT_NEAR(JensenShannon(a, b), std::sqrt(std::log(2.0)), 1e-12);
  EXPECT_EQ(JensenShannon(both, both), 0);
}

// Of two samples of one law, whatever their size and form.
TEST(OfChance, IsWhatSamplingMakesOfADistance) {
  Random random(3);
  const auto exponential = [&] {
    return -std::log((static_cast<double>(random.Next() >> 11) + 0.5) * 0x1p-53);
  };
  for (const size_t size : {size_t{100}, size_t{5000}}) {
    double moved = 0, moved_of_chance = 0, squares = 0, squares_of_chance = 0;
    for (int trial = 0; trial < 200; ++trial) {
      std::vector<double> a, b, of_a(10, 0.0), of_b(10, 0.0);
      for (size_t i = 0; i < size; ++i) {
        a.push_back(exponential());
        if (i % 4 == 0) b.push_back(exponential());
        ++of_a[std::min<size_t>(9, static_cast<size_t>(3 * a.back()))];
        ++of_b[std::min<size_t>(9, static_cast<size_t>(3 * exponential()))];
      }
      moved += Wasserstein(a, b);
      moved_of_chance += WassersteinOfChance(a, b);
      const auto n = static_cast<double>(size);
      squares += std::pow(JensenShannon(of_a, of_b), 2);
      squares_of_chance += std::pow(JensenShannonOfChance(10, n, n), 2);
    }
    EXPECT_NEAR(moved / moved_of_chance, 1, 0.15) << size;
    EXPECT_NEAR(squares / squares_of_chance, 1, 0.15) << size;
  }
}

TEST(Beyond, ChanceTakesAwayWhatItMakes) {
  EXPECT_EQ(Beyond(0.5, 0), 0.5);
  EXPECT_NEAR(Beyond(0.5, 0.3), 0.4, 1e-12);
  EXPECT_EQ(Beyond(0.3, 0.5), 0);
}

// Looking after every value, without a difference, wealth ever reaches 20 in at most a twentieth of
// the trials (Ville); with one, nearly always.
TEST(LogBettingWealth, HoldsItsLevelWhereverOneLooks) {
  constexpr int kTrials = 2000, kValues = 300;
  const auto crossings = [&](double mean) {
    Random random(2);
    BettingOptions options;
    options.bound = 0.4;
    options.guess_mean = 0.45;
    options.guess_variance = 0.24;
    int crossed = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      std::vector<double> values;
      double most = 0;
      for (int i = 0; i < kValues; ++i) values.push_back(test::Uniform(random) < mean ? 1 : 0);
      for (size_t count = 10; count <= values.size(); count += 10) {
        most = std::max(most, LogBettingWealth(std::span(values).first(count), options));
      }
      crossed += most >= std::log(20.0) ? 1 : 0;
    }
    return crossed;
  };
  EXPECT_LE(crossings(0.4), kTrials / 20 + 3 * std::sqrt(kTrials * 0.05 * 0.95));
  EXPECT_GE(crossings(0.4), kTrials / 200);  // it does bet
  EXPECT_GE(crossings(0.6), kTrials * 0.99);
}

// By hand: 30 of 100 against 10 of 100 with a prior of 5 of 50.
TEST(LogOddsZ, IsMonroes) {
  const double difference = std::log(35.0 / 115) - std::log(15.0 / 135);
  EXPECT_NEAR(LogOddsZ(30, 100, 10, 100, 5, 50), difference / std::sqrt(1.0 / 35 + 1.0 / 15),
              1e-12);
  EXPECT_EQ(LogOddsZ(10, 100, 10, 100, 5, 50), 0);
}

}  // namespace
}  // namespace attune::statistics
