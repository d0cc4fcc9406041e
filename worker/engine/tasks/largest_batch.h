#pragma once

// The largest micro-batches that a plan's steps make. No torch here.

#include <functional>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/plan.h"
#include "worker/engine/data/token_shard.h"

namespace attune::engine {

struct MicroBatchShape {
  // Of the largest one; with a prompt's virtual tokens.
  int64_t tokens = 0, targets = 0;
  int64_t micro_batches_max = 0;  // of a rank in a step
  int64_t longest = 0;            // tokens of the longest example; 0: not known, any
};

// Of the micro-batches of all ranks in the steps that were added, by how many sequences a
// micro-batch has at most: every size is measured in one walk.
class LargestBatches {
 public:
  // sequences_max, at least 1: the largest size that is asked for. virtual_tokens: of an example.
  LargestBatches(const TokenShard& shard, int sequences_max, int world_size,
                 int64_t virtual_tokens = 0)
      : shard_(shard),
        world_size_(world_size),
        virtual_tokens_(virtual_tokens),
        by_size_(sequences_max) {}

  void Add(const PlannedStep& step);

  const MicroBatchShape& Of(int sequences) const { return by_size_[sequences - 1]; }
  // Of a step.
  int64_t sequences_max() const { return sequences_max_; }

 private:
  void AddPart(std::span<const Sequence> part);

  const TokenShard& shard_;
  const int world_size_;
  const int64_t virtual_tokens_;
  std::vector<MicroBatchShape> by_size_;  // [i]: of i + 1 sequences
  int64_t sequences_max_ = 0;
};

// Adds the plan's first epoch, which the others resemble, or what of it came before should_stop
// said so.
void AddFirstEpoch(const StepPlan& plan, const std::function<bool()>& should_stop,
                   LargestBatches& batches);

}  // namespace attune::engine
