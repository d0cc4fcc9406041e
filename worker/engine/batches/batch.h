#pragma once

// From planned sequences to what the model takes.

#include <span>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/plan.h"
#include "worker/engine/data/token_shard.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {

// The examples of the sequences end to end, on the device. kInvalidArgument when a token is not
// below vocabulary_size: the tokenizer is not the model's.
Result<PackedBatch> MakeBatch(const TokenShard& shard, std::span<const Sequence> sequences,
                              int64_t vocabulary_size, const at::Device& device);

// Consecutive runs of at most `size` (at least 1) sequences.
std::vector<std::span<const Sequence>> MicroBatches(std::span<const Sequence> sequences, int size);

}  // namespace attune::engine
