#include "worker/engine/batches/batch.h"

#include <algorithm>
#include <functional>

namespace attune::engine {
namespace {

at::Tensor ToTensor(const std::vector<int64_t>& values, const at::Device& device) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::ranges::copy(values, tensor.mutable_data_ptr<int64_t>());
  return device.is_cpu() ? tensor : tensor.to(device);
}

}  // namespace

std::vector<BatchText> TextsOf(const TokenExample& example, uint32_t number) {
  std::vector<BatchText> texts;
  const size_t size = example.tokens.size();
  for (size_t begin = 0, end = 0; begin < size; begin = end) {
    end = begin + 1;
    while (end < size && (example.targets[end] & kTextBegins) == 0) ++end;
    texts.push_back({example.tokens.subspan(begin, end - begin),
                     example.targets.subspan(begin, end - begin), number});
  }
  return texts;
}

// The index of a token file is checked when it is opened, an example when it is used.
Result<TokenExample> CheckedExample(const TokenShard& shard, uint32_t number,
                                    int64_t vocabulary_size) {
  const TokenExample example = shard.Example(number);
  if (example.tokens.empty()) return example;
  const auto rest = example.targets.subspan(1);
  if (std::ranges::count_if(rest, IsTarget) != shard.target_counts()[number]) {
    return DataLoss("the tokens of example " + std::to_string(number) +
                    " are damaged in the token cache; the next attempt makes them anew");
  }
  const uint32_t largest = *std::max_element(example.tokens.begin(), example.tokens.end());
  if (largest < vocabulary_size) return example;
  return InvalidArgument("token " + std::to_string(largest) + " of example " +
                         std::to_string(number) + " is outside the model's vocabulary of " +
                         std::to_string(vocabulary_size) +
                         ": the tokenizer does not belong to this model");
}

Status EachExample(const TokenShard& shard, std::span<const Sequence> sequences,
                   int64_t vocabulary_size,
                   const std::function<Status(const TokenExample&, uint32_t)>& visit) {
  for (const Sequence& sequence : sequences) {
    for (const uint32_t number : sequence) {
      ATTUNE_ASSIGN_OR_RETURN(const TokenExample example,
                              CheckedExample(shard, number, vocabulary_size));
      ATTUNE_RETURN_IF_ERROR(visit(example, number));
    }
  }
  return Status();
}

PackedBatch PackTexts(std::span<const BatchText> texts, const at::Device& device) {
  size_t size = 0;
  for (const BatchText& text : texts) size += text.tokens.size();
  std::vector<int64_t> tokens, positions, rows, targets;
  tokens.reserve(size);
  positions.reserve(size);
  PackedBatch batch{.offsets = {0}};
  for (const BatchText& text : texts) {
    const auto first = static_cast<int64_t>(tokens.size());
    for (size_t i = 0; i < text.tokens.size(); ++i) {
      tokens.push_back(text.tokens[i]);
      positions.push_back(static_cast<int64_t>(i));
      if (i == 0 || !IsTarget(text.targets[i])) continue;
      rows.push_back(first + static_cast<int64_t>(i) - 1);
      targets.push_back(text.tokens[i]);
    }
    batch.offsets.push_back(static_cast<int64_t>(tokens.size()));
    batch.sources.push_back(std::ranges::find_if(text.targets, IsTarget) - text.targets.begin());
    batch.examples.push_back(text.example);
  }
  batch.tokens = ToTensor(tokens, device);
  batch.positions = ToTensor(positions, device);
  batch.target_rows = ToTensor(rows, device);
  batch.targets = ToTensor(targets, device);
  return batch;
}

Result<PackedBatch> MakeBatch(const TokenShard& shard, std::span<const Sequence> sequences,
                              int64_t vocabulary_size, const at::Device& device) {
  std::vector<BatchText> texts;
  ATTUNE_RETURN_IF_ERROR(EachExample(shard, sequences, vocabulary_size,
                                     [&](const TokenExample& example, uint32_t number) {
                                       texts.push_back({example.tokens, example.targets, number});
                                       return Status();
                                     }));
  return PackTexts(texts, device);
}

std::vector<std::span<const Sequence>> MicroBatches(std::span<const Sequence> sequences, int size) {
  std::vector<std::span<const Sequence>> parts;
  const size_t step = static_cast<size_t>(std::max(1, size));
  for (size_t begin = 0; begin < sequences.size(); begin += step) {
    parts.push_back(sequences.subspan(begin, std::min(step, sequences.size() - begin)));
  }
  return parts;
}

}  // namespace attune::engine
