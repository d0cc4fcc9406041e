#pragma once

// Several shards seen as one, each as often as a job asks for. Nothing is copied but the index.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/token_shard.h"

namespace attune::engine {

// How much of a dataset an epoch has.
struct MixAmount {
  int64_t size = 0;   // its examples
  double weight = 1;  // how often each is there: above 0, at most 1000; without a share
  double share = 0;   // in place of weight: its part of an epoch's examples, in (0, 1); else 0
};

// The examples of each in an epoch: of a dataset without a share its size times its weight,
// rounded; of one with share s, where those have N together, s / (1 - all shares) * N, rounded, but
// at least one. kInvalidArgument where a weight or share is out of range, the shares reach 1 or
// every dataset has one.
Result<std::vector<int64_t>> MixCounts(std::span<const MixAmount> amounts);

struct MixPart {
  std::shared_ptr<const TokenShard> shard;  // not empty where count is above 0
  int64_t count = 0;
};

// Each part's examples, `count` in all: the whole shard as often as it fits, and the rest drawn of
// it by the seed. A draw follows from seed and ids alone: not from the other parts, nor from the
// shard's order.
Result<std::shared_ptr<const TokenShard>> Mix(const std::vector<MixPart>& parts, uint64_t seed);

// `count` of the shard's examples (at most all), a fair draw by the seed, as indices in order.
std::vector<uint32_t> Draw(const TokenShard& shard, size_t count, uint64_t seed);

}  // namespace attune::engine
