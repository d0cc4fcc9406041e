#pragma once

// Examples in memory, for tests of what works on any shard.

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/hash.h"
#include "worker/engine/data/token_shard.h"

namespace attune::engine {

// Examples of lengths 2 to 21 with random ids.
class RandomShard : public TokenShard {
 public:
  RandomShard(size_t size, uint64_t seed) : tokens_(21, 0), targets_(21, 1) {
    Random random(seed);
    targets_[0] = 0;
    for (size_t i = 0; i < size; ++i) {
      std::vector<uint8_t> id;
      for (int byte = 0; byte < 16; ++byte) id.push_back(static_cast<uint8_t>(random.Next()));
      ids_.push_back(id);
      lengths_.push_back(2 + static_cast<uint32_t>(random.Below(20)));
      target_counts_.push_back(lengths_.back() - 1);
    }
  }

  size_t size() const override { return ids_.size(); }
  TokenExample Example(size_t i) const override {
    return {std::span(tokens_).first(lengths_[i]), std::span(targets_).first(lengths_[i]), ids_[i]};
  }
  std::span<const uint32_t> lengths() const override { return lengths_; }
  std::span<const uint32_t> target_counts() const override { return target_counts_; }

 private:
  std::vector<uint32_t> tokens_;
  std::vector<uint8_t> targets_;
  std::vector<std::vector<uint8_t>> ids_;
  std::vector<uint32_t> lengths_, target_counts_;
};

using Id = std::vector<uint8_t>;

inline Id IdOf(const TokenShard& shard, size_t i) {
  const auto id = shard.Example(i).id;
  return {id.begin(), id.end()};
}

}  // namespace attune::engine
