#pragma once

// Tokenized examples in memory, as a shard has them.

#include <vector>

#include "worker/engine/data/example_tokens.h"
#include "worker/engine/data/token_shard.h"

namespace attune::engine {

class ExampleList final : public TokenShard {
 public:
  // An example without a target is welcome here.
  explicit ExampleList(std::vector<TokenizedExample> examples);

  size_t size() const override { return examples_.size(); }
  TokenExample Example(size_t i) const override {
    return {examples_[i].tokens, examples_[i].targets, examples_[i].id};
  }
  std::span<const uint32_t> lengths() const override { return lengths_; }
  std::span<const uint32_t> target_counts() const override { return target_counts_; }

 private:
  const std::vector<TokenizedExample> examples_;
  std::vector<uint32_t> lengths_, target_counts_;
};

}  // namespace attune::engine
