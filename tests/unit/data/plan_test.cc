#include "worker/engine/data/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "common/base/hash.h"

namespace attune::engine {
namespace {

struct Data {
  std::vector<uint32_t> lengths, targets;
};

Data RandomData(uint64_t seed, size_t count, uint32_t longest) {
  Random random(seed);
  Data data;
  for (size_t i = 0; i < count; ++i) {
    data.lengths.push_back(2 + static_cast<uint32_t>(random.Below(longest - 1)));
    data.targets.push_back(1 + static_cast<uint32_t>(random.Below(data.lengths.back() - 1)));
  }
  return data;
}

std::shared_ptr<const StepPlan> MakePlan(const Data& data, const PlanOptions& options) {
  auto plan = StepPlan::Make(data.lengths, data.targets, options);
  EXPECT_TRUE(plan.ok()) << plan.status().ToString();
  return *plan;
}

// One whole epoch from step `first` on: every example once, no sequence too long, sums right.
void CheckEpoch(const StepPlan& plan, const Data& data, const PlanOptions& options, int first,
                int steps) {
  std::vector<int> seen(data.lengths.size(), 0);
  for (int s = first; s < first + steps; ++s) {
    PlannedStep step = plan.Step(s);
    if (s + 1 < first + steps) {
      ASSERT_EQ(step.sequences.size(), static_cast<size_t>(options.global_batch));
    }
    ASSERT_FALSE(step.sequences.empty());
    int64_t tokens = 0, targets = 0;
    for (const Sequence& sequence : step.sequences) {
      ASSERT_FALSE(sequence.empty());
      if (!options.packing) ASSERT_EQ(sequence.size(), 1u);
      int64_t length = 0;
      for (uint32_t example : sequence) {
        ++seen[example];
        length += data.lengths[example];
        targets += data.targets[example];
      }
      ASSERT_LE(length, options.sequence_length);
      tokens += length;
    }
    ASSERT_EQ(step.tokens, tokens);
    ASSERT_EQ(step.target_tokens, targets);
  }
  ASSERT_THAT(seen, testing::Each(1));
}

TEST(StepPlan, EveryEpochHasEveryExampleOnce) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Data data = RandomData(seed, 1 + random.Below(500), 100);
    PlanOptions options;
    options.seed = seed;
    options.sequence_length = 100 + static_cast<int>(random.Below(100));
    options.packing = seed % 3 != 0;
    options.global_batch = 1 + static_cast<int>(random.Below(9));
    options.epochs = 3;
    auto plan = MakePlan(data, options);
    ASSERT_EQ(plan->steps() % 3, 0);
    int an_epoch = plan->steps() / 3;
    for (int epoch = 0; epoch < 3; ++epoch) {
      CheckEpoch(*plan, data, options, epoch * an_epoch, an_epoch);
    }
  }
}

TEST(StepPlan, EpochsAreShuffledAnew) {
  Data data = RandomData(1, 200, 50);
  PlanOptions options;
  options.sequence_length = 64;
  options.global_batch = 4;
  options.epochs = 2;
  auto plan = MakePlan(data, options);
  EXPECT_NE(plan->Step(0).sequences, plan->Step(plan->steps() / 2).sequences);
}

TEST(StepPlan, EqualInputsGiveEqualPlans) {
  Data data = RandomData(7, 300, 60);
  PlanOptions options;
  options.seed = 5;
  options.sequence_length = 128;
  options.global_batch = 4;
  options.epochs = 1.5;
  auto a = MakePlan(data, options), b = MakePlan(data, options);
  EXPECT_EQ(a->Digest(), b->Digest());
  // Steps may be asked for in any order.
  for (int s = a->steps() - 1; s >= 0; --s) EXPECT_EQ(a->Step(s).sequences, b->Step(s).sequences);
  options.seed = 6;
  EXPECT_NE(MakePlan(data, options)->Digest(), a->Digest());
}

TEST(StepPlan, FractionsOfAnEpochAreRoundedUpToSteps) {
  Data data{std::vector<uint32_t>(100, 10), std::vector<uint32_t>(100, 5)};
  PlanOptions options;
  options.sequence_length = 10;
  options.global_batch = 10;
  auto steps = [&](double epochs, int max_steps) {
    options.epochs = epochs;
    options.max_steps = max_steps;
    return MakePlan(data, options)->steps();
  };
  EXPECT_EQ(steps(1, 0), 10);
  EXPECT_EQ(steps(0.5, 0), 5);
  EXPECT_EQ(steps(0.51, 0), 6);
  EXPECT_EQ(steps(2.25, 0), 23);
  EXPECT_EQ(steps(0.001, 0), 1);
  EXPECT_EQ(steps(3, 7), 7);
  EXPECT_EQ(steps(1, 50), 10);
}

TEST(StepPlan, StepsCarryNearEqualTokens) {
  Data data = RandomData(2, 5000, 512);
  for (bool packing : {true, false}) {
    PlanOptions options;
    options.sequence_length = 512;
    options.packing = packing;
    options.global_batch = 16;
    auto plan = MakePlan(data, options);
    int64_t least = INT64_MAX, most = 0;
    for (int s = 0; s + 1 < plan->steps(); ++s) {
      int64_t tokens = plan->Step(s).tokens;
      least = std::min(least, tokens);
      most = std::max(most, tokens);
    }
    EXPECT_LE(most - least, 600) << "packing " << packing;  // of about 8000 (4000 unpacked)
  }
}

TEST(StepPlan, PackingFillsSequences) {
  Data data = RandomData(3, 20000, 400);
  PlanOptions options;
  options.sequence_length = 1024;
  options.global_batch = 8;
  auto plan = MakePlan(data, options);
  int64_t tokens = 0, sequences = 0;
  for (int s = 0; s < plan->steps(); ++s) {
    PlannedStep step = plan->Step(s);
    tokens += step.tokens;
    sequences += static_cast<int64_t>(step.sequences.size());
  }
  EXPECT_GT(static_cast<double>(tokens) / static_cast<double>(sequences * 1024), 0.99);
}

// Quadratic work would not end within the test's time limit.
TEST(StepPlan, AMillionExamplesArePlannedInNearLinearTime) {
  Data data = RandomData(4, 1'000'000, 2000);
  PlanOptions options;
  options.sequence_length = 4096;
  options.global_batch = 64;
  auto plan = MakePlan(data, options);
  EXPECT_GT(plan->steps(), 3000);
  EXPECT_GT(plan->Step(plan->steps() / 2).tokens, 0);
}

TEST(StepPlan, RefusesWhatCannotBePlanned) {
  Data data{{5, 20}, {1, 1}};
  PlanOptions options;
  options.sequence_length = 10;
  EXPECT_THAT(StepPlan::Make(data.lengths, data.targets, options).status().message(),
              testing::HasSubstr("example 1 has 20 tokens"));
  EXPECT_FALSE(StepPlan::Make({}, {}, options).ok());
  options.sequence_length = 20;
  EXPECT_TRUE(StepPlan::Make(data.lengths, data.targets, options).ok());
  options.global_batch = 0;
  EXPECT_EQ(StepPlan::Make(data.lengths, data.targets, options).status().field(),
            "train.global_batch");
  options.global_batch = 1;
  options.epochs = 0;
  EXPECT_EQ(StepPlan::Make(data.lengths, data.targets, options).status().field(), "train.epochs");
}

TEST(RankPart, PartsTogetherAreTheStep) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Data data = RandomData(seed, 200, 90);
    PlanOptions options;
    options.sequence_length = 100;
    options.packing = seed % 2 == 0;
    options.global_batch = 1 + static_cast<int>(random.Below(20));
    auto plan = MakePlan(data, options);
    for (int s = 0; s < plan->steps(); ++s) {
      PlannedStep step = plan->Step(s);
      for (int world : {1, 2, 3, 7}) {
        std::vector<Sequence> all;
        for (int rank = 0; rank < world; ++rank) {
          auto part = RankPart(step, data.lengths, rank, world);
          if (step.sequences.size() >= static_cast<size_t>(world)) ASSERT_FALSE(part.empty());
          all.insert(all.end(), part.begin(), part.end());
        }
        ASSERT_EQ(all, step.sequences);
      }
    }
  }
}

TEST(RankPart, TheLargestPartIsAsSmallAsItCanBe) {
  std::vector<uint32_t> lengths = {9, 1, 1, 1, 1, 1, 1, 1};
  PlannedStep step;
  for (uint32_t i = 0; i < lengths.size(); ++i) step.sequences.push_back({i});
  EXPECT_EQ(RankPart(step, lengths, 0, 2).size(), 1u);
  EXPECT_EQ(RankPart(step, lengths, 1, 2).size(), 7u);
}

// The step that reaches so many tokens is the last, wherever in an epoch it is.
TEST(StepPlan, EndsWithTheStepThatReachesTheTokens) {
  const Data data = RandomData(7, 90, 40);
  PlanOptions options{.sequence_length = 48, .global_batch = 4, .epochs = 3};
  const auto whole = MakePlan(data, options);
  int64_t seen = 0;
  for (int s = 0; s < whole->steps(); ++s) {
    seen += whole->Step(s).tokens;
    options.max_tokens = seen;
    EXPECT_EQ(MakePlan(data, options)->steps(), s + 1);
    options.max_tokens = seen + 1;
    EXPECT_EQ(MakePlan(data, options)->steps(), std::min(s + 2, whole->steps()));
  }
  options.max_tokens = int64_t{1} << 60;
  EXPECT_EQ(MakePlan(data, options)->steps(), whole->steps());
  options.max_tokens = 1;
  EXPECT_EQ(MakePlan(data, options)->steps(), 1);
  options = {.sequence_length = 48, .global_batch = 4, .epochs = 3, .max_steps = 5};
  options.max_tokens = seen;
  EXPECT_EQ(MakePlan(data, options)->steps(), 5);
}

}  // namespace
}  // namespace attune::engine
