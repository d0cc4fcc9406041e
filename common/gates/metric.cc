#include "common/gates/metric.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "common/gates/lines.h"
#include "common/scoring/metrics.h"
#include "common/statistics/classification.h"

namespace attune::gates {
namespace {

using statistics::SumSample;

constexpr double kMaxExponent = 100;  // a perplexity of 1e43 is as bad as one can be

bool IsRight(const v1::ExampleFacts& example) {
  return example.label() == example.predicted();
}

double LossPerToken(const v1::ExampleFacts& example) {
  return example.target_tokens() == 0 ? 0 : example.loss_sum() / example.target_tokens();
}

}  // namespace

Result<Metric> Metric::Make(const std::string& name) {
  const auto kind = scoring::KindOfMetric(name);
  if (!kind) {
    return InvalidArgument("there is no metric \"" + name + "\"; there are " +
                           scoring::MetricNames());
  }
  if (name == "perplexity") return Metric(name, Kind::kPerplexity);
  if (name == "macro_f1") return Metric(name, Kind::kMacroF1);
  if (name == "calibration_error") return Metric(name, Kind::kCalibration);
  return Metric(name, *kind == scoring::MetricKind::kLoss ? Kind::kLoss : Kind::kMean);
}

double Metric::ValueOf(const v1::ExampleFacts& example) const {
  switch (kind_) {
    case Kind::kLoss:
      return LossPerToken(example);
    case Kind::kPerplexity:
      return std::exp(std::min(LossPerToken(example), kMaxExponent));
    case Kind::kMean:
      if (IsLabelMetric(name_)) return IsRight(example);
      return example.scores().at(name_);
    case Kind::kMacroF1:
      return IsRight(example);
    case Kind::kCalibration:
      return std::abs(IsRight(example) - example.confidence());
  }
  return 0;
}

double Metric::WorseThanBound(const v1::ExampleFacts& example, double bound) const {
  if (kind_ == Kind::kLoss || kind_ == Kind::kPerplexity) {
    const double nats = kind_ == Kind::kLoss ? bound : std::log(std::max(bound, 1.0));
    return example.loss_sum() - nats * example.target_tokens();
  }
  return lower_is_better() ? ValueOf(example) - bound : bound - ValueOf(example);
}

double Metric::WorseThanChampion(const Pair& pair) const {
  if (kind_ == Kind::kLoss || kind_ == Kind::kPerplexity) {
    return pair.candidate->loss_sum() - pair.champion->loss_sum();
  }
  return WorseBy(ValueOf(*pair.candidate), ValueOf(*pair.champion));
}

void Metric::AddTerms(const v1::ExampleFacts& example, size_t first,
                      const std::map<std::string, size_t>& labels,
                      std::vector<SumSample::Term>* terms) const {
  const uint32_t slot = static_cast<uint32_t>(first);
  switch (kind_) {
    case Kind::kLoss:
    case Kind::kPerplexity:
      terms->emplace_back(slot, example.loss_sum());
      terms->emplace_back(slot + 1, example.target_tokens());
      return;
    case Kind::kMean:
      terms->emplace_back(slot, ValueOf(example));
      terms->emplace_back(slot + 1, 1.0);
      return;
    case Kind::kMacroF1:
      statistics::AddMacroF1Terms(first, labels.at(example.label()), labels.at(example.predicted()),
                                  terms);
      return;
    case Kind::kCalibration:
      statistics::AddCalibrationTerms(first, example.confidence(), IsRight(example), terms);
      return;
  }
}

Result<SumSample> Metric::Sums(const std::vector<Pair>& pairs, bool champion) const {
  std::map<std::string, size_t> labels;
  size_t block = 2;
  if (kind_ == Kind::kMacroF1) {
    for (const Pair& pair : pairs) {
      for (const v1::ExampleFacts* example : {pair.candidate, pair.champion}) {
        if (example == nullptr) continue;
        labels.emplace(example->label(), labels.size());
        labels.emplace(example->predicted(), labels.size());
        if (labels.size() > kMaxLabels) {
          return InvalidArgument("more than " + std::to_string(kMaxLabels) + " labels: " + name_ +
                                 " is for a classification");
        }
      }
    }
    block = statistics::MacroF1Sums(labels.size());
  } else if (kind_ == Kind::kCalibration) {
    block = statistics::kCalibrationSums;
  }
  SumSample sample(champion ? 2 * block : block);
  std::vector<SumSample::Term> terms;
  for (const Pair& pair : pairs) {
    const bool tokens =
        pair.candidate->target_tokens() > 0 && (!champion || pair.champion->target_tokens() > 0);
    // Nothing to predict says nothing of a loss, and resamples of it alone would have none.
    if (IsLossMetric(name_) && !tokens) continue;
    terms.clear();
    AddTerms(*pair.candidate, 0, labels, &terms);
    if (champion) AddTerms(*pair.champion, block, labels, &terms);
    sample.Add(terms);
  }
  return sample;
}

double Metric::Value(std::span<const double> block) const {
  switch (kind_) {
    case Kind::kLoss:
    case Kind::kMean:
      return block[1] > 0 ? block[0] / block[1] : 0;
    case Kind::kPerplexity:
      return block[1] > 0 ? std::exp(std::min(block[0] / block[1], kMaxExponent)) : 0;
    case Kind::kMacroF1:
      return statistics::MacroF1(block);
    case Kind::kCalibration:
      return statistics::CalibrationError(block);
  }
  return 0;
}

double Metric::Candidate(const std::vector<double>& sums, bool champion) const {
  return Value(std::span(sums).first(champion ? sums.size() / 2 : sums.size()));
}

double Metric::Champion(const std::vector<double>& sums) const {
  return Value(std::span(sums).last(sums.size() / 2));
}

}  // namespace attune::gates
