#include "worker/engine/data/mix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "common/base/hash.h"
#include "tests/unit/data/random_shard.h"
#include "worker/engine/data/plan.h"

namespace attune::engine {
namespace {

std::map<Id, int> CountIds(const TokenShard& shard) {
  std::map<Id, int> counts;
  for (size_t i = 0; i < shard.size(); ++i) ++counts[IdOf(shard, i)];
  return counts;
}

std::vector<int64_t> Counts(const std::vector<MixAmount>& amounts) {
  auto counts = MixCounts(amounts);
  EXPECT_TRUE(counts.ok()) << counts.status().ToString();
  return counts.ok() ? *counts : std::vector<int64_t>(amounts.size());
}

// Datasets with and without shares, at random.
struct RandomMix {
  std::vector<MixAmount> amounts;
  std::vector<MixPart> parts;
  double shares = 0;

  explicit RandomMix(uint64_t seed) {
    Random random(seed);
    auto part = [&](double fraction) { return static_cast<double>(random.Below(1000)) * fraction; };
    const size_t plain = 1 + random.Below(2), shared = random.Below(3);
    for (size_t i = 0; i < plain + shared; ++i) {
      MixAmount amount{.size = 1 + static_cast<int64_t>(random.Below(300))};
      if (i < plain) {
        amount.weight = random.Below(3) == 0 ? 1 : 1 + part(0.002);
      } else {
        amount.weight = 0;
        amount.share = 0.001 + part(0.00045);
        shares += amount.share;
      }
      amounts.push_back(amount);
    }
    std::vector<int64_t> counts = Counts(amounts);
    for (size_t i = 0; i < amounts.size(); ++i) {
      parts.push_back({std::make_shared<RandomShard>(amounts[i].size, 1000 * seed + i), counts[i]});
    }
  }
};

TEST(MixCounts, MeetsWeightsAndShares) {
  EXPECT_THAT(Counts({{.size = 10}}), testing::ElementsAre(10));
  EXPECT_THAT(Counts({{.size = 10, .weight = 0.5}, {.size = 3, .weight = 2}}),
              testing::ElementsAre(5, 6));
  EXPECT_THAT(Counts({{.size = 70}, {.size = 1000, .weight = 0, .share = 0.3}}),
              testing::ElementsAre(70, 30));
  EXPECT_THAT(Counts({{.size = 70}, {.size = 7, .weight = 0, .share = 0.3}}),
              testing::ElementsAre(70, 30))
      << "a small one is repeated";
  EXPECT_THAT(
      Counts({{.size = 50, .weight = 2}, {.size = 9, .share = 0.2}, {.size = 9, .share = 0.3}}),
      testing::ElementsAre(100, 40, 60));
  EXPECT_THAT(Counts({{.size = 5}, {.size = 9, .share = 0.01}}), testing::ElementsAre(5, 1))
      << "a data set that is asked for is there";
}

// Property: the share is met within one example, and what has no share is there as a whole.
TEST(Mix, SharesAreMetWithinOneExampleAndNothingElseIsMissing) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    const RandomMix mix(seed);
    const auto shard = Mix(mix.parts, seed);
    ASSERT_TRUE(shard.ok());
    const std::map<Id, int> counts = CountIds(**shard);
    double rest = 0;
    for (size_t p = 0; p < mix.parts.size(); ++p) {
      const MixPart& part = mix.parts[p];
      int64_t found = 0;
      int least = std::numeric_limits<int>::max(), most = 0;
      for (size_t i = 0; i < part.shard->size(); ++i) {
        const auto count = counts.find(IdOf(*part.shard, i));
        const int times = count == counts.end() ? 0 : count->second;
        found += times;
        least = std::min(least, times);
        most = std::max(most, times);
      }
      ASSERT_EQ(found, part.count);
      ASSERT_LE(most, least + 1) << "none is repeated more often than another by more than one";
      if (mix.amounts[p].share > 0) continue;
      rest += static_cast<double>(part.count);
      ASSERT_GE(least, 1);
    }
    for (size_t p = 0; p < mix.parts.size(); ++p) {
      if (mix.amounts[p].share == 0) continue;
      const double exact = mix.amounts[p].share / (1 - mix.shares) * rest;
      ASSERT_LT(std::abs(static_cast<double>(mix.parts[p].count) - exact), 1.0);
    }
  }
}

// Property: one plan, cut into as many parts as there are ranks.
TEST(Mix, TheSamePlanForAnyNumberOfRanks) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    const RandomMix mix(seed);
    const auto shard = *Mix(mix.parts, seed);
    const auto plan = *StepPlan::Make(shard->lengths(), shard->target_counts(),
                                      {.seed = seed, .sequence_length = 64, .global_batch = 5});
    std::map<Id, int> planned;
    for (int s = 0; s < plan->steps(); ++s) {
      const PlannedStep step = plan->Step(s);
      for (const int ranks : {1, 2, 3, 5}) {
        std::vector<Sequence> all;
        for (int rank = 0; rank < ranks; ++rank) {
          const auto part = RankPart(step, shard->lengths(), rank, ranks);
          all.insert(all.end(), part.begin(), part.end());
        }
        ASSERT_EQ(all, step.sequences) << ranks;
      }
      for (const Sequence& sequence : step.sequences) {
        for (const uint32_t example : sequence) ++planned[IdOf(*shard, example)];
      }
    }
    ASSERT_EQ(planned, CountIds(*shard));
  }
}

TEST(Draw, SeedsDifferAndEachIsFair) {
  const RandomShard shard(200, 7);
  EXPECT_EQ(Draw(shard, 50, 3), Draw(shard, 50, 3));
  std::vector<int> times(shard.size(), 0);
  std::set<std::vector<uint32_t>> draws;
  constexpr int kDraws = 400;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    const std::vector<uint32_t> drawn = Draw(shard, 50, seed);
    ASSERT_EQ(std::set(drawn.begin(), drawn.end()).size(), 50u);
    ASSERT_TRUE(std::ranges::is_sorted(drawn));
    draws.insert(drawn);
    for (const uint32_t example : drawn) ++times[example];
  }
  EXPECT_EQ(draws.size(), static_cast<size_t>(kDraws));
  // Each is binomial (400, 1/4): 100 with a deviation of 8.7.
  EXPECT_GT(*std::ranges::min_element(times), 60);
  EXPECT_LT(*std::ranges::max_element(times), 140);
}

// So that a version with more examples, or in another order, draws nearly the same.
TEST(Draw, FollowsFromIdsAndNotFromPlaces) {
  const RandomShard shard(100, 7), longer(150, 7);
  std::set<Id> drawn;
  for (const uint32_t i : Draw(longer, 30, 5)) drawn.insert(IdOf(longer, i));
  std::set<Id> of_first;
  for (const uint32_t i : Draw(shard, 30, 5)) of_first.insert(IdOf(shard, i));
  for (size_t i = 0; i < shard.size(); ++i) {
    if (drawn.contains(IdOf(shard, i))) EXPECT_TRUE(of_first.contains(IdOf(shard, i)));
  }
}

TEST(Mix, AShardThatIsThereOnceIsItself) {
  const auto shard = std::make_shared<RandomShard>(10, 1);
  EXPECT_EQ(*Mix({{shard, 10}}, 1), shard);
  const auto empty = std::make_shared<RandomShard>(0, 1);
  EXPECT_EQ((*Mix({{empty, 0}, {shard, 10}}, 1))->size(), 10u);
}

TEST(MixCounts, RefusesAmountsThatMeanNothing) {
  for (double weight : {0.0, -1.0, 1e9, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(MixCounts(std::vector<MixAmount>{{.size = 1, .weight = weight}}).status().field(),
              "dataset.weight");
  }
  for (double share : {-0.1, 1.0, 2.0, std::numeric_limits<double>::quiet_NaN()}) {
    const std::vector<MixAmount> amounts = {{.size = 1}, {.size = 1, .share = share}};
    EXPECT_EQ(MixCounts(amounts).status().field(), "dataset.share") << share;
  }
  const std::vector<MixAmount> alone = {{.size = 1, .share = 0.5}};
  EXPECT_EQ(MixCounts(alone).status().field(), "dataset.share");
  const std::vector<MixAmount> whole = {
      {.size = 1}, {.size = 1, .share = 0.5}, {.size = 1, .share = 0.5}};
  EXPECT_EQ(MixCounts(whole).status().field(), "dataset.share");
}

}  // namespace
}  // namespace attune::engine
