#pragma once

// The examples that gates may look at: checked, by suite, without those that were trained on.

#include <map>
#include <string>
#include <vector>

#include "attune/v1/gates.pb.h"
#include "common/base/status.h"
#include "common/gates/metric.h"

namespace attune::gates {

inline constexpr char kGoalSuite[] = "goal";

struct SuiteExamples {
  std::vector<Pair> pairs;  // the candidate's that are left, by id; champion null where it has none
  uint64_t left_out = 0;    // the candidate's that were found in training data
  const v1::SuiteProof* proof = nullptr;
};

class Suites {
 public:
  // Borrows facts. kInvalidArgument: an example that is none (CheckExample) or comes twice, two
  // proofs of one suite, more than kMaxExamples.
  static Result<Suites> Make(const v1::GateFacts& facts);

  // kInvalidArgument: the candidate's evaluation has nothing of the suite.
  Result<const SuiteExamples*> Find(const std::string& suite) const;
  // Those of the slice (key empty: all), each with what the metric needs.
  Result<std::vector<Pair>> Candidates(const std::string& suite, const Metric& metric,
                                       const std::string& slice_key = "",
                                       const std::string& slice_value = "") const;
  // Those that the champion answered too. unpaired: how many it did not. kInvalidArgument: the
  // champion's evaluation has nothing of the suite.
  Result<std::vector<Pair>> Paired(const std::string& suite, const Metric& metric,
                                   uint64_t* unpaired) const;

 private:
  std::map<std::string, SuiteExamples> suites_;
};

// One result for each suite: what was looked up, and what is left. FAILED: nothing is left, or
// nothing proves that the suite is untouched.
Result<v1::GateResult> UntouchedGate(const Suites& suites, const std::string& suite);

// The examples of the pairs by each value of the keys, at most kMaxSliceValues of a key (the
// largest), with the metric of both models.
inline constexpr size_t kMaxSliceValues = 20;
Status AddSlices(const Metric& metric, const std::vector<Pair>& pairs, bool champion,
                 const v1::GatesSpec& spec, v1::GateResult* result);

}  // namespace attune::gates
