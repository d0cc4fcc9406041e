#include "worker/engine/batches/batch.h"

#include <algorithm>
#include <functional>

namespace attune::engine {
namespace {

struct Sizes {
  int64_t tokens = 0, targets = 0, examples = 0;
};

Sizes Measure(const TokenShard& shard, std::span<const Sequence> sequences) {
  Sizes sizes;
  for (const Sequence& sequence : sequences) {
    for (const uint32_t index : sequence) {
      sizes.tokens += shard.lengths()[index];
      sizes.targets += shard.target_counts()[index];
      ++sizes.examples;
    }
  }
  return sizes;
}

// Writes one example's rows; `row` is its first. Returns how many targets it wrote.
int64_t WriteExample(const TokenExample& example, int64_t row, int64_t* tokens, int64_t* positions,
                     int64_t* target_rows, int64_t* targets) {
  int64_t written = 0;
  const int64_t length = static_cast<int64_t>(example.tokens.size());
  for (int64_t i = 0; i < length; ++i) {
    tokens[row + i] = example.tokens[i];
    positions[row + i] = i;
    if (i > 0 && example.targets[i] != 0) {
      target_rows[written] = row + i - 1;
      targets[written++] = example.tokens[i];
    }
  }
  return written;
}

// The index of a token file is checked when it is opened, an example when it is used.
Status CheckExample(const TokenExample& example, uint32_t index, uint32_t target_count,
                    int64_t vocabulary_size) {
  if (example.tokens.empty()) return Status();
  const auto rest = example.targets.subspan(1);
  if (rest.size() - std::ranges::count(rest, uint8_t{0}) != target_count) {
    return DataLoss("the tokens of example " + std::to_string(index) +
                    " are damaged in the token cache; the next attempt makes them anew");
  }
  const uint32_t largest = *std::max_element(example.tokens.begin(), example.tokens.end());
  if (largest < vocabulary_size) return Status();
  return InvalidArgument("token " + std::to_string(largest) + " of example " +
                         std::to_string(index) + " is outside the model's vocabulary of " +
                         std::to_string(vocabulary_size) +
                         ": the tokenizer does not belong to this model");
}

}  // namespace

Result<PackedBatch> MakeBatch(const TokenShard& shard, std::span<const Sequence> sequences,
                              int64_t vocabulary_size, const at::Device& device) {
  const Sizes sizes = Measure(shard, sequences);
  PackedBatch batch{.tokens = at::empty({sizes.tokens}, at::kLong),
                    .positions = at::empty({sizes.tokens}, at::kLong),
                    .offsets = {0},
                    .target_rows = at::empty({sizes.targets}, at::kLong),
                    .targets = at::empty({sizes.targets}, at::kLong)};
  int64_t* const tokens = batch.tokens.data_ptr<int64_t>();
  int64_t* const positions = batch.positions.data_ptr<int64_t>();
  int64_t* const rows = batch.target_rows.data_ptr<int64_t>();
  int64_t* const targets = batch.targets.data_ptr<int64_t>();
  int64_t row = 0, target = 0;
  batch.sources.reserve(sizes.examples);
  batch.offsets.reserve(sizes.examples + 1);
  batch.examples.reserve(sizes.examples);
  for (const Sequence& sequence : sequences) {
    for (const uint32_t index : sequence) {
      const TokenExample example = shard.Example(index);
      ATTUNE_RETURN_IF_ERROR(
          CheckExample(example, index, shard.target_counts()[index], vocabulary_size));
      target += WriteExample(example, row, tokens, positions, rows + target, targets + target);
      row += static_cast<int64_t>(example.tokens.size());
      batch.sources.push_back(std::ranges::find_if(example.targets, std::identity()) -
                              example.targets.begin());
      batch.offsets.push_back(row);
      batch.examples.push_back(index);
    }
  }
  ATTUNE_CHECK(row == sizes.tokens && target == sizes.targets);
  if (!device.is_cpu()) {
    for (at::Tensor* tensor :
         {&batch.tokens, &batch.positions, &batch.target_rows, &batch.targets}) {
      *tensor = tensor->to(device);
    }
  }
  return batch;
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
