#pragma once

// A metric over examples: its direction, its number for one example, and the sums that it is a
// function of, which is how the bootstrap takes it (common/statistics/bootstrap.h).

#include <map>
#include <span>
#include <string>
#include <vector>

#include "attune/v1/gates.pb.h"
#include "common/base/status.h"
#include "common/statistics/bootstrap.h"

namespace attune::gates {

// The same example as both models answered it. champion: null when there is none.
struct Pair {
  const v1::ExampleFacts* candidate = nullptr;
  const v1::ExampleFacts* champion = nullptr;
};

inline constexpr size_t kMaxLabels = 256;

class Metric {
 public:
  // kInvalidArgument: a name that evaluation.proto does not list.
  static Result<Metric> Make(const std::string& name);

  const std::string& name() const { return name_; }
  bool lower_is_better() const { return kind_ != Kind::kMean && kind_ != Kind::kMacroF1; }
  // A mean of one number an example: a score, or whether the label is right.
  bool is_mean() const { return kind_ == Kind::kMean; }

  // Of one example: nats a target token, its perplexity, the score, whether the label is right (0
  // or 1), or how far the confidence is from that.
  double ValueOf(const v1::ExampleFacts& example) const;
  // How much the example adds beyond `bound` of the metric, in the worse direction; what examples
  // are ranked by. Losses weigh by their tokens.
  double WorseThanBound(const v1::ExampleFacts& example, double bound) const;
  double WorseThanChampion(const Pair& pair) const;

  // The examples' sums: the candidate's block and, with champion, the champion's after it. Examples
  // must have what the metric needs (CheckMetric); those without a target token are no examples of
  // a loss. kInvalidArgument: more than kMaxLabels labels.
  Result<statistics::SumSample> Sums(const std::vector<Pair>& pairs, bool champion) const;
  // The metric out of such sums; champion: whether its block is there.
  double Candidate(const std::vector<double>& sums, bool champion) const;
  double Champion(const std::vector<double>& sums) const;
  // Above zero: the candidate is worse by so much.
  double WorseBy(double candidate, double champion) const {
    return lower_is_better() ? candidate - champion : champion - candidate;
  }

 private:
  enum class Kind { kLoss, kPerplexity, kMean, kMacroF1, kCalibration };
  Metric(std::string name, Kind kind) : name_(std::move(name)), kind_(kind) {}
  void AddTerms(const v1::ExampleFacts& example, size_t first,
                const std::map<std::string, size_t>& labels,
                std::vector<statistics::SumSample::Term>* terms) const;
  double Value(std::span<const double> block) const;

  std::string name_;
  Kind kind_;
};

}  // namespace attune::gates
