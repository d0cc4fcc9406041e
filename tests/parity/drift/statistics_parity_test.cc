// The statistics of drift against scipy, statsmodels, scikit-learn and the formulas of Evidently
// and alibi-detect: expected.json of tests/parity/drift/make_fixtures.py.

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/statistics/betting.h"
#include "common/statistics/chi_square.h"
#include "common/statistics/corrections.h"
#include "common/statistics/distances.h"
#include "common/statistics/fisher.h"
#include "common/statistics/logistic.h"
#include "common/statistics/mmd.h"
#include "common/statistics/population_stability.h"
#include "common/statistics/two_samples.h"

namespace attune::statistics {
namespace {

using nlohmann::json;
using Numbers = std::vector<double>;

const json& Expected(const char* part) {
  static const json expected = [] {
    auto text = ReadFile("tests/fixtures/drift/expected.json", 1 << 20);
    EXPECT_TRUE(text.ok()) << text.status().ToString();
    return json::parse(text.ok() ? *text : "{}");
  }();
  return expected.at(part);
}

void ExpectClose(double value, double expected, double relative) {
  EXPECT_NEAR(value, expected, relative * std::abs(expected) + 1e-300);
}

TEST(KolmogorovSmirnov, IsScipysExactTest) {
  for (const json& c : Expected("two_samples")) {
    const KsResult result = KolmogorovSmirnov(c.at("a").get<Numbers>(), c.at("b").get<Numbers>());
    ExpectClose(result.distance, c.at("ks"), 1e-12);
    ExpectClose(result.p_value, c.at("ks_p"), 1e-9);
  }
}

// The same numbers as large_sample of the script.
Numbers LargeSample(size_t count, uint64_t step, double power) {
  Numbers values;
  for (uint64_t i = 1; i <= count; ++i) {
    values.push_back(std::pow(static_cast<double>(i * step % 10007) / 10007.0, power));
  }
  return values;
}

TEST(KolmogorovSmirnov, IsWithinTwoPercentOfScipysAsymptoticTest) {
  for (const json& c : Expected("large_ks")) {
    const KsResult result = KolmogorovSmirnov(LargeSample(c.at("n"), 7919, 1),
                                              LargeSample(c.at("m"), 104729, c.at("power")));
    ExpectClose(result.distance, c.at("ks"), 1e-9);
    ExpectClose(result.p_value, c.at("ks_p"), 0.02);
  }
}

TEST(MannWhitney, IsScipys) {
  for (const json& c : Expected("two_samples")) {
    const MannWhitneyResult result =
        MannWhitney(c.at("a").get<Numbers>(), c.at("b").get<Numbers>());
    ExpectClose(result.auc, c.at("auc"), 1e-12);
    ExpectClose(result.p_value, c.at("mw_p"), 1e-9);
  }
}

TEST(ChiSquareOfHomogeneity, IsScipysWithoutYates) {
  for (const json& c : Expected("tables")) {
    const ChiSquareResult result =
        ChiSquareOfHomogeneity(c.at("a").get<Numbers>(), c.at("b").get<Numbers>());
    ExpectClose(result.statistic, c.at("statistic"), 1e-9);
    EXPECT_EQ(result.degrees, c.at("degrees").get<double>());
    ExpectClose(result.p_value, c.at("p"), 1e-9);
  }
}

TEST(PopulationStability, IsEvidentlys) {
  for (const json& c : Expected("tables")) {
    ExpectClose(PopulationStability(c.at("a").get<Numbers>(), c.at("b").get<Numbers>()),
                c.at("psi"), 1e-9);
  }
}

TEST(JensenShannon, IsScipys) {
  for (const json& c : Expected("tables")) {
    ExpectClose(JensenShannon(c.at("a").get<Numbers>(), c.at("b").get<Numbers>()), c.at("js"),
                1e-9);
  }
}

TEST(Wasserstein, IsScipys) {
  for (const json& c : Expected("lengths")) {
    ExpectClose(Wasserstein(c.at("a").get<Numbers>(), c.at("b").get<Numbers>()),
                c.at("wasserstein"), 1e-9);
  }
}

TEST(FisherExact, IsTwiceScipysSmallerHypergeometricTail) {
  for (const json& c : Expected("fisher")) {
    ExpectClose(FisherExact(c.at("a"), c.at("n"), c.at("b"), c.at("m")), c.at("p"), 1e-8);
  }
}

TEST(Holm, IsStatsmodels) {
  for (const json& c : Expected("holm")) {
    const Numbers adjusted = Holm(c.at("p").get<Numbers>());
    ASSERT_EQ(adjusted.size(), c.at("adjusted").size());
    for (size_t i = 0; i < adjusted.size(); ++i) {
      ExpectClose(adjusted[i], c.at("adjusted")[i], 1e-12);
    }
  }
}

MmdResult Mmd(const json& c, size_t permutations) {
  const std::vector<float> x = c.at("x"), y = c.at("y");
  MmdOptions options;
  options.permutations = permutations;
  return MaximumMeanDiscrepancy(x, y, c.at("d"), options);
}

TEST(MaximumMeanDiscrepancy, IsAlibiDetects) {
  for (const json& c : Expected("mmd")) {
    const MmdResult result = Mmd(c, 19999);
    ExpectClose(result.gamma, c.at("gamma"), 1e-5);
    EXPECT_NEAR(result.mmd2, c.at("mmd2"), 1e-6);
    // Both are estimates: ours of 19,999 permutations.
    const double p = c.at("p");
    if (p > 1e-3) EXPECT_NEAR(result.p_value, p, 5 * std::sqrt(p / 19999));
  }
}

// Of a million permutations, from 999: the fitted tail is right within a factor of four down to
// 3e-6, where counting would say 1e-3.
TEST(MaximumMeanDiscrepancy, SmallPValuesAreFromAFittedTail) {
  for (const json& c : Expected("mmd")) {
    const double p = c.at("p");
    if (p > 1e-3) continue;
    EXPECT_NEAR(std::log10(Mmd(c, 999).p_value), std::log10(p), std::log10(4.0));
  }
}

TEST(FitLogistic, IsScikitLearns) {
  for (const json& c : Expected("logistic")) {
    const std::vector<float> x = c.at("x");
    std::vector<bool> labels;
    std::vector<size_t> rows;
    for (const json& label : c.at("labels")) {
      rows.push_back(labels.size());
      labels.push_back(label.get<int>() == 1);
    }
    const LogisticModel model = FitLogistic(x, c.at("d"), rows, labels, c.at("c"));
    for (size_t k = 0; k < model.weights.size(); ++k) {
      EXPECT_NEAR(model.weights[k], c.at("weights")[k], 1e-3);
    }
    EXPECT_NEAR(model.intercept, c.at("intercept"), 1e-3);
  }
}

TEST(LogBettingWealth, IsWaudbySmithAndRamdas) {
  for (const json& c : Expected("betting")) {
    BettingOptions options;
    options.bound = c.at("bound");
    options.guess_mean = c.at("guess_mean");
    options.guess_variance = c.at("guess_variance");
    EXPECT_NEAR(LogBettingWealth(c.at("values").get<Numbers>(), options), c.at("wealth"), 1e-9);
  }
}

}  // namespace
}  // namespace attune::statistics
