#pragma once

// The step plan: which examples every optimizer step consumes, as a pure function of (lengths,
// seed, options). It does not depend on the number of ranks, so neither does the loss curve, and
// the data position is the step number. Ten million examples are planned in seconds, with 20 bytes
// an example, 28 while an epoch is made. No torch here.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune::engine {

// Of the function itself: raised when the same inputs give another plan, since a run that was begun
// by another one cannot go on. tests/fixtures/plan/plans.json pins what each format gives.
inline constexpr int kPlanFormat = 2;

struct PlanOptions {
  uint64_t seed = 1;
  int sequence_length = 1024;
  bool packing = true;    // false: one example a sequence
  int global_batch = 16;  // sequences a step; the last step of an epoch may have fewer
  double epochs = 1;
  int max_steps = 0;       // 0: no limit
  int64_t max_tokens = 0;  // the step that reaches as many is the last; 0: no limit
};

// Examples that share a sequence (they never attend to each other), as indices into the shard.
using Sequence = std::vector<uint32_t>;

struct PlannedStep {
  std::vector<Sequence> sequences;
  int64_t tokens = 0;
  int64_t target_tokens = 0;
};

class StepPlan {
 public:
  static Result<std::shared_ptr<const StepPlan>> Make(std::span<const uint32_t> lengths,
                                                      std::span<const uint32_t> target_counts,
                                                      const PlanOptions& options);
  virtual ~StepPlan() = default;

  virtual int steps() const = 0;
  // Every epoch has as many. The last epoch of a run may be cut.
  virtual int steps_an_epoch() const = 0;
  virtual uint64_t sequences_an_epoch() const = 0;
  // No packing of these lengths has fewer: a lower bound, which need not be within reach.
  virtual uint64_t fewest_sequences() const = 0;
  // Step s, from 0.
  virtual PlannedStep Step(int s) const = 0;
  // sha256 over kPlanFormat, all that the plan follows from, and the first epoch as planned: equal
  // plans, equal digests. Computed once.
  virtual std::string Digest() const = 0;
};

// Rank r's sequences of a step: contiguous parts of near equal tokens; all parts together are the
// step, and no part is empty when the step has at least world_size sequences.
std::vector<Sequence> RankPart(const PlannedStep& step, std::span<const uint32_t> lengths, int rank,
                               int world_size);

}  // namespace attune::engine
