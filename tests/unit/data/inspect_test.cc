#include "worker/engine/data/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attune::engine {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kEnd = 7, kNewline = 8;

// Examples that stand in memory.
class Shard : public TokenShard {
 public:
  void Add(std::vector<uint32_t> tokens, std::vector<uint8_t> targets) {
    lengths_.push_back(static_cast<uint32_t>(tokens.size()));
    counts_.push_back(1);
    tokens_.push_back(std::move(tokens));
    targets_.push_back(std::move(targets));
  }
  size_t size() const override { return tokens_.size(); }
  TokenExample Example(size_t i) const override {
    most_held_ = std::max(most_held_, ++held_);
    return {tokens_[i], targets_[i], id_};
  }
  void Release() const override { held_ = 0; }
  int most_held() const { return most_held_; }
  std::span<const uint32_t> lengths() const override { return lengths_; }
  std::span<const uint32_t> target_counts() const override { return counts_; }

 private:
  std::vector<std::vector<uint32_t>> tokens_;
  std::vector<std::vector<uint8_t>> targets_;
  std::vector<uint32_t> lengths_, counts_;
  mutable int held_ = 0, most_held_ = 0;
  std::vector<uint8_t> id_ = std::vector<uint8_t>(16, 0);
};

EndCounts Count(const Shard& shard) {
  return CountEnds(shard, {kEnd}, /*sequence_length=*/6);
}

TEST(CountEnds, AnEndThatIsLearnedLastCounts) {
  Shard shard;
  shard.Add({1, 2, kEnd}, {0, 1, 1});
  shard.Add({1, 2, kEnd, kNewline}, {0, 1, 1, 1});  // as ChatML ends a turn
  EXPECT_EQ(Count(shard).learned, 2);
}

TEST(CountEnds, AnEndThatIsMaskedOrOfAnEarlierTurnDoesNot) {
  Shard shard;
  shard.Add({1, 2, kEnd}, {0, 1, 0});        // the mask leaves it out
  shard.Add({1, kEnd, 2, 3}, {0, 1, 0, 1});  // the last turn has none
  shard.Add({1, 2, 3, 4}, {0, 1, 1, 1});     // there is none at all
  EXPECT_EQ(Count(shard).whole, 3);
  EXPECT_EQ(Count(shard).learned, 0);
}

TEST(CountEnds, WhatMayBeCutIsNotAskedForItsEnd) {
  Shard shard;
  shard.Add({1, 2, 3, 4, 5, 6}, {0, 1, 1, 1, 1, 1});
  EXPECT_EQ(Count(shard).whole, 0);
}

TEST(CountEnds, HoldsThePagesOfFewExamplesAtOnce) {
  Shard shard;
  for (int i = 0; i < 3000; ++i) shard.Add({1, kEnd}, {0, 1});
  EXPECT_EQ(Count(shard).learned, 3000);
  EXPECT_LE(shard.most_held(), 512);
}

TEST(EndProblem, IsThereWhenNoWholeExampleTeachesTheEnd) {
  TrainOptions train;
  train.require_end = true;
  EXPECT_THAT(EndProblem({12, 0}, train), HasSubstr("none of the 12 whole examples"));
  EXPECT_EQ(EndProblem({12, 1}, train), "");
  EXPECT_EQ(EndProblem({0, 0}, train), "");
  train.require_end = false;
  EXPECT_EQ(EndProblem({12, 0}, train), "");
}

}  // namespace
}  // namespace attune::engine
