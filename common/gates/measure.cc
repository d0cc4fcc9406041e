#include "common/gates/measure.h"

#include <algorithm>
#include <cmath>

#include "common/gates/lines.h"
#include "common/gates/text.h"
#include "common/statistics/bootstrap.h"
#include "common/statistics/paired_shares.h"

namespace attune::gates {
namespace {

using statistics::Interval;
using statistics::SumSample;

bool AreBinary(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return v == 0 || v == 1; });
}

bool AreWithin(const std::vector<double>& values, double low, double high) {
  return std::all_of(values.begin(), values.end(), [&](double v) { return low <= v && v <= high; });
}

double MostCommon(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  double best = values[0];
  size_t most = 0;
  for (size_t begin = 0; begin < values.size();) {
    size_t end = begin;
    while (end < values.size() && values[end] == values[begin]) ++end;
    if (end - begin > most) most = end - begin, best = values[begin];
    begin = end;
  }
  return best;
}

// Of a 0/1 variable that was 1 in `ones` of n, away from zero so that it can be planned with.
double PlanningDeviation(double ones, double n) {
  const double share = (ones + 1) / (n + 2);
  return std::sqrt(share * (1 - share));
}

// Bounds of the mean of values within [low, high] of which all but a few are `common`: no more
// than an upper Clopper-Pearson bound's share is on either side of it, and that at the worst.
void WidenWhenNearlyAllAreEqual(const std::vector<double>& values, double low, double high,
                                double common, double confidence, Measured* measured) {
  uint64_t below = 0, above = 0;
  for (double value : values) below += value<common, above += value> common;
  if (below + above >= kMinExamples || !AreWithin(values, low, high)) return;
  const double two_sided = statistics::OneSided(confidence);
  const double share_below = statistics::ClopperPearson(below, values.size(), two_sided).upper;
  const double share_above = statistics::ClopperPearson(above, values.size(), two_sided).upper;
  Interval* bounds = &measured->bounds;
  bounds->lower = std::min(bounds->lower, common - (common - low) * share_below);
  bounds->upper = std::max(bounds->upper, common + (high - common) * share_above);
  measured->deviation = std::max(
      measured->deviation, (high - low) * PlanningDeviation(static_cast<double>(below + above),
                                                            static_cast<double>(values.size())));
  measured->method = "Clopper-Pearson on the " + std::to_string(below + above) + " that differ";
}

double EffectiveExamples(const Metric& metric, const std::vector<Pair>& pairs) {
  if (!IsLossMetric(metric.name())) return static_cast<double>(pairs.size());
  std::vector<double> weights;
  for (const Pair& pair : pairs) weights.push_back(pair.candidate->target_tokens());
  return std::max(2.0, statistics::EffectiveExamples(weights));
}

void Bootstrap(const SumSample& sample, const statistics::SumFunction& statistic, double confidence,
               double effective, const Sampling& sampling, Measured* measured) {
  statistics::BootstrapOptions options;
  options.confidence = statistics::ExpandedConfidence(statistics::OneSided(confidence), effective);
  options.resamples =
      sampling.resamples > 0 ? sampling.resamples : statistics::Resamples(sample.examples());
  options.seed = sampling.seed;
  const auto result = statistics::BootstrapBca(sample, statistic, options);
  // Where differences are symmetric, BCa is a little too narrow for few examples and Student's is
  // right; where they are skewed it is the other way round.
  const Interval student = statistics::StudentInterval(result.estimate, result.jackknife_error,
                                                       effective, statistics::OneSided(confidence));
  measured->bounds = {std::min(result.interval.lower, student.lower),
                      std::max(result.interval.upper, student.upper)};
  measured->deviation = result.standard_error * std::sqrt(static_cast<double>(sample.examples()));
}

Interval Bounds01(double successes, uint64_t n, double confidence) {
  return statistics::ClopperPearson(static_cast<uint64_t>(successes), n,
                                    statistics::OneSided(confidence));
}

void CompareShares(const std::vector<double>& candidate, const std::vector<double>& champion,
                   double confidence, Measured* measured) {
  statistics::PairedShares shares;
  shares.pairs = candidate.size();
  for (size_t i = 0; i < candidate.size(); ++i) {
    shares.first_only += champion[i] > candidate[i];
    shares.second_only += candidate[i] > champion[i];
  }
  measured->bounds = statistics::TangoInterval(shares, statistics::OneSided(confidence));
  measured->deviation =
      PlanningDeviation(static_cast<double>(shares.first_only + shares.second_only),
                        static_cast<double>(shares.pairs));
  measured->method = "Tango score interval";
  measured->note = std::to_string(shares.second_only) + " examples gained, " +
                   std::to_string(shares.first_only) + " lost, McNemar mid-p " +
                   ShortNumber(statistics::McNemar(shares).mid_p);
}

}  // namespace

Result<Measured> MeasureCandidate(const Metric& metric, const std::vector<Pair>& pairs,
                                  double confidence, const Sampling& sampling) {
  Measured measured;
  ATTUNE_ASSIGN_OR_RETURN(SumSample sample, metric.Sums(pairs, false));
  measured.examples = sample.examples();
  if (measured.examples == 0) return measured;
  auto statistic = [&](const std::vector<double>& sums) { return metric.Candidate(sums, false); };
  measured.candidate = measured.value = statistic(sample.totals());
  measured.bounds = {measured.value, measured.value};
  if (confidence == 0 || measured.examples < kMinExamples) return measured;
  std::vector<double> values;
  if (metric.is_mean()) {
    for (const Pair& pair : pairs) values.push_back(metric.ValueOf(*pair.candidate));
    if (AreBinary(values)) {
      measured.bounds = Bounds01(sample.totals()[0], measured.examples, confidence);
      measured.deviation =
          PlanningDeviation(sample.totals()[0], static_cast<double>(measured.examples));
      measured.method = "Clopper-Pearson";
      return measured;
    }
  }
  measured.method = "bootstrap (BCa)";
  Bootstrap(sample, statistic, confidence, EffectiveExamples(metric, pairs), sampling, &measured);
  if (metric.is_mean()) {
    WidenWhenNearlyAllAreEqual(values, 0, 1, MostCommon(values), confidence, &measured);
  }
  return measured;
}

Result<Measured> MeasureDifference(const Metric& metric, const std::vector<Pair>& pairs,
                                   double confidence, const Sampling& sampling) {
  Measured measured;
  ATTUNE_ASSIGN_OR_RETURN(SumSample sample, metric.Sums(pairs, true));
  measured.examples = sample.examples();
  if (measured.examples == 0) return measured;
  measured.candidate = metric.Candidate(sample.totals(), true);
  measured.champion = metric.Champion(sample.totals());
  measured.value = metric.WorseBy(measured.candidate, measured.champion);
  measured.bounds = {measured.value, measured.value};
  if (confidence == 0 || measured.examples < kMinExamples) return measured;
  std::vector<double> candidate, champion, worse_by;
  if (metric.is_mean()) {
    for (const Pair& pair : pairs) {
      candidate.push_back(metric.ValueOf(*pair.candidate));
      champion.push_back(metric.ValueOf(*pair.champion));
      worse_by.push_back(metric.WorseThanChampion(pair));
    }
    if (AreBinary(candidate) && AreBinary(champion)) {
      CompareShares(candidate, champion, confidence, &measured);
      return measured;
    }
  }
  auto statistic = [&](const std::vector<double>& sums) {
    return metric.WorseBy(metric.Candidate(sums, true), metric.Champion(sums));
  };
  measured.method = "paired bootstrap (BCa)";
  Bootstrap(sample, statistic, confidence, EffectiveExamples(metric, pairs), sampling, &measured);
  if (metric.is_mean() && AreWithin(candidate, 0, 1) && AreWithin(champion, 0, 1)) {
    WidenWhenNearlyAllAreEqual(worse_by, -1, 1, 0, confidence, &measured);
  }
  return measured;
}

}  // namespace attune::gates
