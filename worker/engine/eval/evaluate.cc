#include "worker/engine/eval/evaluate.h"

#include <algorithm>
#include <numeric>

namespace attune::engine {
namespace {

std::vector<uint32_t> Sample(const TokenShard& shard, int max_examples) {
  std::vector<uint32_t> indices(shard.size());
  std::iota(indices.begin(), indices.end(), 0u);
  if (max_examples <= 0 || static_cast<size_t>(max_examples) >= indices.size()) return indices;
  std::nth_element(
      indices.begin(), indices.begin() + max_examples, indices.end(), [&](uint32_t a, uint32_t b) {
        const auto x = shard.Example(a).id, y = shard.Example(b).id;
        const auto order =
            std::lexicographical_compare_three_way(x.begin(), x.end(), y.begin(), y.end());
        return order != 0 ? order < 0 : a < b;
      });
  indices.resize(max_examples);
  std::sort(indices.begin(), indices.end());
  return indices;
}

int64_t Tokens(const TokenShard& shard, const Sequence& group) {
  int64_t tokens = 0;
  for (const uint32_t index : group) tokens += shard.lengths()[index];
  return tokens;
}

// The groups of each rank: the one whose part of all tokens holds a group's middle has it. In
// integers, so that all ranks agree on whatever machine they are.
std::vector<std::vector<size_t>> Share(const TokenShard& shard, const std::vector<Sequence>& groups,
                                       int world_size) {
  int64_t total = 0, before = 0;
  for (const auto& group : groups) total += Tokens(shard, group);
  std::vector<std::vector<size_t>> shares(world_size);
  for (size_t g = 0; g < groups.size(); ++g) {
    const int64_t tokens = Tokens(shard, groups[g]);
    const int64_t middle_twice = 2 * before + tokens;
    shares[middle_twice * world_size / (2 * total)].push_back(g);
    before += tokens;
  }
  return shares;
}

}  // namespace

std::vector<Sequence> EvaluationGroups(const TokenShard& shard, int max_examples,
                                       int64_t tokens_max, int examples_max) {
  std::vector<Sequence> groups;
  int64_t tokens = 0;
  for (const uint32_t index : Sample(shard, max_examples)) {
    const int64_t length = shard.lengths()[index];
    const bool full = !groups.empty() && examples_max > 0 &&
                      groups.back().size() >= static_cast<size_t>(examples_max);
    if (groups.empty() || tokens + length > tokens_max || full) {
      groups.emplace_back();
      tokens = 0;
    }
    groups.back().push_back(index);
    tokens += length;
  }
  return groups;
}

Result<EvaluatedLoss> EvaluateLoss(ObjectiveFunction& objective, const TokenShard& shard,
                                   const std::vector<Sequence>& groups, Group& ranks,
                                   const std::function<void(double, double)>& on_progress,
                                   const std::function<StopRequest()>& should_stop) {
  const std::vector<std::vector<size_t>> shares = Share(shard, groups, ranks.world_size());
  const std::vector<size_t>& mine = shares[ranks.rank()];
  size_t rounds = 0;
  for (const auto& share : shares) rounds = std::max(rounds, share.size());
  EvaluatedLoss loss;
  for (size_t round = 0; round < rounds; ++round) {
    if (round < mine.size()) {
      ATTUNE_ASSIGN_OR_RETURN(const LossPart part, objective.Measure(shard, groups[mine[round]]));
      loss.loss_sum += part.loss;
      loss.units += part.units;
      loss.right += part.right;
    }
    ATTUNE_ASSIGN_OR_RETURN(loss.stop, ranks.AgreeOnStop(should_stop()));
    if (loss.stop != StopRequest::kNone) return loss;
    on_progress(static_cast<double>(round + 1), static_cast<double>(rounds));
  }
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<double> sums,
      ranks.Sum({loss.loss_sum, static_cast<double>(loss.units), static_cast<double>(loss.right)}));
  loss.loss_sum = sums[0];
  loss.units = static_cast<int64_t>(sums[1]);
  loss.right = static_cast<int64_t>(sums[2]);
  return loss;
}

}  // namespace attune::engine
