#include "worker/engine/eval/evaluate.h"

#include <algorithm>
#include <numeric>

#include "worker/engine/batches/batch.h"

namespace attune::engine {
namespace {

// Ranks evaluate shares of equal tokens, but not at equal speed.
constexpr std::chrono::minutes kSlack{30};

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

int64_t Tokens(const TokenShard& shard, const std::vector<uint32_t>& group) {
  int64_t tokens = 0;
  for (const uint32_t index : group) tokens += shard.lengths()[index];
  return tokens;
}

}  // namespace

std::vector<std::vector<uint32_t>> EvaluationGroups(const TokenShard& shard, int max_examples,
                                                    int64_t tokens_max) {
  std::vector<std::vector<uint32_t>> groups;
  int64_t tokens = 0;
  for (const uint32_t index : Sample(shard, max_examples)) {
    const int64_t length = shard.lengths()[index];
    if (groups.empty() || tokens + length > tokens_max) {
      groups.emplace_back();
      tokens = 0;
    }
    groups.back().push_back(index);
    tokens += length;
  }
  return groups;
}

Result<LossSum> EvaluateLoss(CausalLM& model, const TokenShard& shard,
                             const std::vector<std::vector<uint32_t>>& groups, Group& ranks,
                             const at::Device& device,
                             const std::function<void(double, double)>& on_progress) {
  at::NoGradGuard no_grad;
  int64_t total = 0;
  for (const auto& group : groups) total += Tokens(shard, group);
  const double share = static_cast<double>(total) / ranks.world_size();
  double loss_sum = 0;
  int64_t targets = 0, before = 0, done = 0;
  for (const auto& group : groups) {
    const int64_t tokens = Tokens(shard, group);
    // The rank whose share holds the group's middle.
    const double middle = static_cast<double>(before) + static_cast<double>(tokens) / 2;
    const int rank = std::min(ranks.world_size() - 1, static_cast<int>(middle / share));
    before += tokens;
    if (rank != ranks.rank()) continue;
    ATTUNE_ASSIGN_OR_RETURN(
        const PackedBatch batch,
        MakeBatch(shard, std::span<const Sequence>(&group, 1), model.vocabulary_size(), device));
    loss_sum += model.LossSum(batch).item<double>();
    targets += batch.targets.numel();
    done += tokens;
    on_progress(static_cast<double>(done), share);
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<double> sums,
                          ranks.Sum({loss_sum, static_cast<double>(targets)}, kSlack));
  return LossSum{.loss_sum = sums[0], .target_tokens = static_cast<int64_t>(sums[1])};
}

}  // namespace attune::engine
