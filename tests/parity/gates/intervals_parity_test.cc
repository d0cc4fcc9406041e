// Intervals, tests and scores that gates decide by, against scipy, statsmodels and scikit-learn
// (make_fixtures.py).

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/statistics/bootstrap.h"
#include "common/statistics/classification.h"
#include "common/statistics/paired_shares.h"
#include "common/statistics/proportion.h"

namespace attune::parity {
namespace {

using Json = nlohmann::json;
using namespace statistics;

constexpr double kTolerance = 1e-9;

Json Reference(const std::string& part) {
  std::ifstream stream("tests/fixtures/gates/intervals.json");
  return Json::parse(stream).at(part);
}

void ExpectInterval(const Interval& interval, const Json& expected, double tolerance) {
  EXPECT_NEAR(interval.lower, expected[0].get<double>(), tolerance);
  EXPECT_NEAR(interval.upper, expected[1].get<double>(), tolerance);
}

TEST(IntervalsParity, Proportions) {
  const Json cases = Reference("proportions");
  ASSERT_GE(cases.size(), 30u);
  for (const Json& entry : cases) {
    SCOPED_TRACE(entry.dump());
    const uint64_t successes = entry["successes"], trials = entry["trials"];
    const double confidence = entry["confidence"];
    ExpectInterval(ClopperPearson(successes, trials, confidence), entry["clopper_pearson"],
                   kTolerance);
    ExpectInterval(Wilson(successes, trials, confidence), entry["wilson"], kTolerance);
  }
}

TEST(IntervalsParity, PairedShares) {
  for (const Json& entry : Reference("paired_shares")) {
    SCOPED_TRACE(entry.dump());
    const PairedShares shares{entry["first_only"], entry["second_only"], entry["pairs"]};
    const McNemarResult test = McNemar(shares);
    EXPECT_NEAR(test.exact, entry["exact"].get<double>(), kTolerance);
    EXPECT_NEAR(test.mid_p, entry["mid_p"].get<double>(), kTolerance);
    // The reference maximizes the likelihood by search.
    for (const Json& level : entry["intervals"]) {
      ExpectInterval(TangoInterval(shares, level["confidence"]), level["tango"], 1e-6);
    }
  }
}

// The sums of a bootstrap case and the statistic of them.
std::pair<SumSample, SumFunction> CaseOf(const Json& entry) {
  const auto data = entry["data"].get<std::vector<std::vector<double>>>();
  const bool difference = data.size() == 3;
  SumSample sample(difference ? 3 : 2);
  for (size_t i = 0; i < data[0].size(); ++i) {
    std::vector<SumSample::Term> terms{{0, data[0][i]}, {1, difference ? data[1][i] : 1.0}};
    if (difference) terms.emplace_back(2, data[2][i]);
    sample.Add(terms);
  }
  if (difference) {
    return {std::move(sample), [](const auto& s) { return s[0] / s[2] - s[1] / s[2]; }};
  }
  return {std::move(sample), [](const auto& s) { return s[0] / s[1]; }};
}

std::vector<double> LeaveOneOut(const SumSample& sample, const SumFunction& statistic) {
  std::vector<double> values;
  for (size_t left = 0; left < sample.examples(); ++left) {
    std::vector<double> sums(sample.totals().size());
    for (size_t i = 0; i < sample.examples(); ++i) {
      if (i == left) continue;
      for (const auto& [sum, amount] : sample.terms(i)) sums[sum] += amount;
    }
    values.push_back(statistic(sums));
  }
  return values;
}

TEST(IntervalsParity, BcaOfScipysResamplesIsScipys) {
  for (const Json& entry : Reference("bootstraps")) {
    SCOPED_TRACE(entry["name"].get<std::string>());
    const auto [sample, statistic] = CaseOf(entry);
    EXPECT_NEAR(statistic(sample.totals()), entry["estimate"].get<double>(), kTolerance);
    ExpectInterval(BcaInterval(entry["estimate"], entry["resampled"],
                               LeaveOneOut(sample, statistic), entry["confidence"]),
                   entry["interval"], kTolerance);
  }
}

TEST(IntervalsParity, BcaOfOurResamplesIsScipysInTheLongRun) {
  for (const Json& entry : Reference("bootstraps")) {
    SCOPED_TRACE(entry["name"].get<std::string>());
    const auto [sample, statistic] = CaseOf(entry);
    const BootstrapResult result = BootstrapBca(
        sample, statistic,
        {.confidence = entry["confidence"].get<double>(), .resamples = 200'000, .seed = 1});
    // The standard error of the 1 % quantile of 200,000 normal resamples is 0.8 % of their standard
    // deviation; a skewed tail's, and that of the corrected places, is larger.
    const double error = entry["standard_error"];
    ExpectInterval(result.interval, entry["long_run"], 0.05 * error);
    EXPECT_NEAR(result.standard_error, error, 0.01 * error);
  }
}

TEST(IntervalsParity, Classification) {
  for (const Json& entry : Reference("classifications")) {
    const auto labels = entry["labels"].get<std::vector<size_t>>();
    const auto predicted = entry["predicted"].get<std::vector<size_t>>();
    const auto confidence = entry["confidence"].get<std::vector<double>>();
    const size_t classes = 8;  // some of which may not occur
    SumSample counts(MacroF1Sums(classes)), bins(kCalibrationSums);
    for (size_t i = 0; i < labels.size(); ++i) {
      std::vector<SumSample::Term> terms;
      AddMacroF1Terms(0, labels[i], predicted[i], &terms);
      counts.Add(terms);
      terms.clear();
      AddCalibrationTerms(0, confidence[i], labels[i] == predicted[i], &terms);
      bins.Add(terms);
    }
    EXPECT_NEAR(MacroF1(counts.totals()), entry["macro_f1"].get<double>(), kTolerance);
    EXPECT_NEAR(CalibrationError(bins.totals()), entry["calibration_error"].get<double>(),
                kTolerance);
  }
}

TEST(IntervalsParity, ExpandedConfidence) {
  for (const Json& entry : Reference("expanded")) {
    EXPECT_NEAR(ExpandedConfidence(entry["confidence"], entry["examples"]),
                entry["expanded"].get<double>(), kTolerance);
  }
}

}  // namespace
}  // namespace attune::parity
