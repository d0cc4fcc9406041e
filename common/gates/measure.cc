#include "common/gates/measure.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "common/base/text.h"
#include "common/gates/lines.h"
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

std::string MethodOfFew(uint64_t few) {
  return "Clopper-Pearson on the " + std::to_string(few) + " that differ";
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
  measured->method = MethodOfFew(below + above);
}

// By how much a metric of labels can change for each share of the examples that one model predicts
// otherwise. A macro F1 is a mean over K classes of 2 TP / N, N being a class's labels and
// predictions; one other prediction takes at most 2 / N from its class and 1 / N from another. A
// calibration error sums gaps of bins, to which an example adds at most its share.
double WorstPerShare(const Metric& metric, const std::vector<Pair>& pairs) {
  if (metric.name() != "macro_f1") return 1;
  std::map<std::string, double> of_candidate, of_champion;
  for (const Pair& pair : pairs) {
    for (const auto& [example, counts] :
         {std::pair(pair.candidate, &of_candidate), std::pair(pair.champion, &of_champion)}) {
      if (example == nullptr) continue;
      ++(*counts)[example->label()];
      ++(*counts)[example->predicted()];
    }
  }
  const double examples = static_cast<double>(pairs.size());
  double least = 2 * examples;
  for (const auto* counts : {&of_candidate, &of_champion}) {
    for (const auto& [label, count] : *counts) least = std::min(least, count);
  }
  return 3 * examples / (static_cast<double>(of_candidate.size()) * least);
}

// Bounds of a metric of labels where all predictions but `few` are alike: no more than an upper
// Clopper-Pearson bound's share is otherwise, each at its worst. common: the metric if none were.
void WidenWhenFewDiffer(uint64_t few, size_t examples, double common, double worst_per_share,
                        double confidence, Measured* measured) {
  if (few >= kMinExamples) return;
  const double two_sided = statistics::OneSided(confidence);
  const double share = statistics::ClopperPearson(few, examples, two_sided).upper;
  const double worst = std::min(1.0, worst_per_share * share);
  measured->bounds.lower = std::min(measured->bounds.lower, common - worst);
  measured->bounds.upper = std::max(measured->bounds.upper, common + worst);
  const double planned = PlanningDeviation(static_cast<double>(few), static_cast<double>(examples));
  measured->deviation = std::max(measured->deviation, worst_per_share * planned);
  measured->method = MethodOfFew(few);
}

// Where the candidate alone predicts nearly all right, or nearly all wrong.
void WidenWhenNearlyAllAreAlike(const Metric& metric, const std::vector<Pair>& pairs,
                                double confidence, Measured* measured) {
  const auto right = static_cast<uint64_t>(std::ranges::count_if(
      pairs, [](const Pair& p) { return p.candidate->label() == p.candidate->predicted(); }));
  const uint64_t few = std::min<uint64_t>(right, pairs.size() - right);
  const double all_alike = few == right ? 0 : 1;
  const double common = metric.name() == "macro_f1" ? all_alike : measured->value;
  WidenWhenFewDiffer(few, pairs.size(), common, WorstPerShare(metric, pairs), confidence, measured);
  measured->bounds = {std::max(measured->bounds.lower, 0.0), std::min(measured->bounds.upper, 1.0)};
}

// Where both models predict nearly always the same. Their confidences, and so their calibration
// errors, may differ all the same, and either model may be at its worst.
void WidenWhenModelsAreAlike(const Metric& metric, const std::vector<Pair>& pairs,
                             double confidence, Measured* measured) {
  const auto few = static_cast<uint64_t>(std::ranges::count_if(
      pairs, [](const Pair& p) { return p.candidate->predicted() != p.champion->predicted(); }));
  const bool f1 = metric.name() == "macro_f1";
  WidenWhenFewDiffer(few, pairs.size(), f1 ? 0 : measured->value,
                     (f1 ? 1 : 2) * WorstPerShare(metric, pairs), confidence, measured);
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
  } else if (IsLabelMetric(metric.name())) {
    WidenWhenNearlyAllAreAlike(metric, pairs, confidence, &measured);
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
  if (IsLabelMetric(metric.name())) {
    WidenWhenModelsAreAlike(metric, pairs, confidence, &measured);
  } else if (metric.is_mean() && AreWithin(candidate, 0, 1) && AreWithin(champion, 0, 1)) {
    WidenWhenNearlyAllAreEqual(worse_by, -1, 1, 0, confidence, &measured);
  }
  return measured;
}

}  // namespace attune::gates
