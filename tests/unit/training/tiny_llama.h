#pragma once

// A random Llama of a few thousand parameters and examples for it, all out of attune::Random.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "worker/engine/data/token_shard.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine::testing {

struct TinyConfig {
  int64_t vocabulary = 97, hidden = 32, intermediate = 48, layers = 2, heads = 4,
          key_value_heads = 2;
  int64_t positions = 64;
};

// config.json and model.safetensors (tied embeddings).
void WriteTinyLlama(const std::filesystem::path& folder, const TinyConfig& config, uint64_t seed);

// Uniform in [low, high), tensor by tensor in the order of names; around 1 where the name has
// "norm".
void FillRandom(NamedTensors tensors, uint64_t seed, double low, double high);

class MemoryShard : public TokenShard {
 public:
  void Add(std::vector<uint32_t> tokens, std::vector<uint8_t> targets);

  size_t size() const override { return tokens_.size(); }
  TokenExample Example(size_t i) const override { return {tokens_[i], targets_[i], ids_[i]}; }
  std::span<const uint32_t> lengths() const override { return lengths_; }
  std::span<const uint32_t> target_counts() const override { return target_counts_; }

 private:
  std::vector<std::vector<uint32_t>> tokens_;
  std::vector<std::vector<uint8_t>> targets_;
  std::vector<std::vector<uint8_t>> ids_;
  std::vector<uint32_t> lengths_, target_counts_;
};

// Examples of 3 to 22 tokens, two thirds of them targets, the last always.
std::shared_ptr<MemoryShard> RandomExamples(int count, uint64_t seed, uint32_t vocabulary);

}  // namespace attune::engine::testing
