#pragma once

// The output of an EVALUATE job (a JSON EvaluationLine a line) into the facts that gates decide by.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "attune/v1/evaluation.pb.h"
#include "attune/v1/gates.pb.h"
#include "common/base/status.h"

namespace attune::gates {

// Of one evaluation. Two of them and the proofs stay below what a protobuf message may hold.
inline constexpr size_t kMaxLineBytes = 1 << 20;
inline constexpr size_t kMaxEvaluationBytes = 512u << 20;
inline constexpr size_t kMaxExamples = 1'000'000;

// "loss" and "perplexity", which need no score; "accuracy", "macro_f1" and "calibration_error",
// which need a label; else a score's name.
bool IsLossMetric(std::string_view metric);
bool IsLabelMetric(std::string_view metric);

// kInvalidArgument unless the example has an id, finite numbers, and what each metric needs. The
// message says which example and why.
Status CheckExample(const v1::ExampleFacts& example);
Status CheckMetric(const v1::ExampleFacts& example, std::string_view metric);

// Feed it every line, then Finish. The first error stays: later calls return it again. Not
// thread-safe.
class FactsReader {
 public:
  // request: what the job was asked. Lines of other suites, and examples without a number that was
  // asked for, are errors.
  FactsReader(std::string model, std::string job_id, v1::EvaluateRequest request);
  FactsReader(const FactsReader&) = delete;
  FactsReader& operator=(const FactsReader&) = delete;

  // A blank line is nothing. kInvalidArgument with the line's number: no EvaluationLine, unknown
  // suite, an example twice, a number that is none, anything after the artifact.
  Status AddLine(std::string_view line);
  // The facts, examples by suite and id. kInvalidArgument: no artifact line (the output is not
  // whole), a suite without an example, not one answer for each smoke prompt. Call once.
  Result<v1::EvaluationFacts> Finish();

 private:
  Status Take(std::string_view line);
  Status TakeExample(v1::ExampleFacts* example);
  Status Where(const Status& status) const;

  const v1::EvaluateRequest request_;
  v1::EvaluationFacts facts_;
  std::map<std::string, const v1::Suite*> suites_;
  std::set<std::pair<std::string, std::string>> seen_;  // suite, id
  uint64_t lines_ = 0, bytes_ = 0;
  Status failed_;
};

}  // namespace attune::gates
