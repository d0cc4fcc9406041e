#pragma once

// The loss of a model on a split, over all ranks.

#include <functional>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/token_shard.h"
#include "worker/engine/model/language_model.h"
#include "worker/engine/parallel/group.h"

namespace attune::engine {

// Examples evaluated together, as indices into the shard: all of them, or the max_examples (0: all)
// with the smallest ids, which is a fixed random sample since ids are hashes. Each group has at
// most tokens_max tokens, or is one example. Does not depend on ranks.
std::vector<std::vector<uint32_t>> EvaluationGroups(const TokenShard& shard, int max_examples,
                                                    int64_t tokens_max);

struct EvaluatedLoss {
  double loss_sum = 0;  // negative log likelihoods of the target tokens
  int64_t target_tokens = 0;
  StopRequest stop =
      StopRequest::kNone;  // when not kNone the evaluation ended early, and the sums are of no use
  double mean() const { return loss_sum / static_cast<double>(target_tokens); }
};

// Collective; each rank computes a share of near equal tokens. on_progress hears (groups done,
// groups in all) of the longest share; should_stop is asked after every group, and what any rank
// was asked ends it on all.
Result<EvaluatedLoss> EvaluateLoss(LanguageModel& model, const TokenShard& shard,
                                   const std::vector<std::vector<uint32_t>>& groups, Group& ranks,
                                   const at::Device& device,
                                   const std::function<void(double, double)>& on_progress,
                                   const std::function<StopRequest()>& should_stop);

}  // namespace attune::engine
