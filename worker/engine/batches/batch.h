#pragma once

// From planned sequences to what the model takes.

#include <functional>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/plan.h"
#include "worker/engine/data/token_shard.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {

// A text of an example: all of it, or what lies between marks of kTextBegins.
struct BatchText {
  std::span<const uint32_t> tokens;
  std::span<const uint8_t> targets;
  uint32_t example = 0;
};
std::vector<BatchText> TextsOf(const TokenExample& example, uint32_t number);

// kDataLoss when an example is damaged, kInvalidArgument as MakeBatch.
Result<TokenExample> CheckedExample(const TokenShard& shard, uint32_t number,
                                    int64_t vocabulary_size);

// Calls visit(example, number) with each example of the sequences, checked; its error ends it.
Status EachExample(const TokenShard& shard, std::span<const Sequence> sequences,
                   int64_t vocabulary_size,
                   const std::function<Status(const TokenExample&, uint32_t)>& visit);

// Texts end to end, each on its own, on the device; the target rows are those before targets.
PackedBatch PackTexts(std::span<const BatchText> texts, const at::Device& device);

// The examples of the sequences end to end, on the device. kInvalidArgument when a token is not
// below vocabulary_size: the tokenizer is not the model's.
Result<PackedBatch> MakeBatch(const TokenShard& shard, std::span<const Sequence> sequences,
                              int64_t vocabulary_size, const at::Device& device);

// Consecutive runs of at most `size` (at least 1) sequences.
std::vector<std::span<const Sequence>> MicroBatches(std::span<const Sequence> sequences, int size);

}  // namespace attune::engine
