#pragma once

// The loss of a model on a split, over all ranks: what its objective says.

#include <functional>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/token_shard.h"
#include "worker/engine/objectives/objective.h"
#include "worker/engine/parallel/group.h"

namespace attune::engine {

// Examples evaluated together, as indices into the shard: all of them, or the max_examples (0: all)
// with the smallest ids, which is a fixed random sample since ids are hashes. Each group has at
// most tokens_max tokens, or is one example. Does not depend on ranks.
// examples_max (0: any) bounds them as well.
std::vector<Sequence> EvaluationGroups(const TokenShard& shard, int max_examples,
                                       int64_t tokens_max, int examples_max = 0);

struct EvaluatedLoss {
  double loss_sum = 0;
  int64_t units = 0, right = 0;
  StopRequest stop =
      StopRequest::kNone;  // when not kNone the evaluation ended early, and the sums are of no use
  double mean() const { return loss_sum / static_cast<double>(units); }
};

// Collective; each rank computes a share of near equal tokens. on_progress hears (groups done,
// groups in all) of the longest share; should_stop is asked after every group, and what any rank
// was asked ends it on all.
Result<EvaluatedLoss> EvaluateLoss(ObjectiveFunction& objective, const TokenShard& shard,
                                   const std::vector<Sequence>& groups, Group& ranks,
                                   const std::function<void(double, double)>& on_progress,
                                   const std::function<StopRequest()>& should_stop);

}  // namespace attune::engine
