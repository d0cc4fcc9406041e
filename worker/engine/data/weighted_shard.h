#pragma once

// Several shards seen as one. Nothing is copied but the index.

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/token_shard.h"

namespace attune::engine {

struct WeightedPart {
  std::shared_ptr<const TokenShard> shard;
  double weight = 1;
};

// How often `size` examples are there at a weight.
int64_t WeightedCount(int64_t size, double weight);

// Each part's examples as often as its weight says: 1 once, 2 twice, 0.5 the half of them whose ids
// come first (ids are hashes, so that is a fair draw, and the same one every time). Weights are
// above 0 and at most 1000.
Result<std::shared_ptr<const TokenShard>> Weighted(const std::vector<WeightedPart>& parts);

}  // namespace attune::engine
