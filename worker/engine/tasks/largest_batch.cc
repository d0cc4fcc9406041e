#include "worker/engine/tasks/largest_batch.h"

#include <algorithm>

namespace attune::engine {

void LargestBatches::Add(const PlannedStep& step) {
  sequences_max_ = std::max(sequences_max_, static_cast<int64_t>(step.sequences.size()));
  for (int rank = 0; rank < world_size_; ++rank) {
    AddPart(RankPart(step, shard_.lengths(), rank, world_size_));
  }
}

void LargestBatches::AddPart(std::span<const Sequence> part) {
  // Sums before each sequence, so that a micro-batch is a difference.
  std::vector<int64_t> tokens(part.size() + 1, 0), targets(part.size() + 1, 0);
  int64_t longest = 0;
  for (size_t i = 0; i < part.size(); ++i) {
    tokens[i + 1] = tokens[i];
    targets[i + 1] = targets[i];
    for (const uint32_t example : part[i]) {
      const int64_t length = shard_.lengths()[example] + virtual_tokens_;
      longest = std::max(longest, length);
      tokens[i + 1] += length;
      targets[i + 1] += shard_.target_counts()[example];
    }
  }
  for (size_t size = 1; size <= by_size_.size(); ++size) {
    MicroBatchShape& largest = by_size_[size - 1];
    int64_t micro_batches = 0;
    for (size_t begin = 0; begin < part.size(); begin += size, ++micro_batches) {
      const size_t end = std::min(begin + size, part.size());
      largest.tokens = std::max(largest.tokens, tokens[end] - tokens[begin]);
      largest.targets = std::max(largest.targets, targets[end] - targets[begin]);
    }
    largest.micro_batches_max = std::max(largest.micro_batches_max, micro_batches);
    largest.longest = std::max(largest.longest, longest);
  }
}

void AddFirstEpoch(const StepPlan& plan, const std::function<bool()>& should_stop,
                   LargestBatches& batches) {
  const int steps = std::min(plan.steps(), plan.steps_an_epoch());
  for (int s = 0; s < steps && !should_stop(); ++s) batches.Add(plan.Step(s));
}

}  // namespace attune::engine
