#include "worker/engine/tasks/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/base/reasons.h"

namespace attune::engine {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using Pools = std::vector<std::vector<MemoryPool>>;

// Examples without tokens, of so many each, all of which are targets.
class Lengths : public TokenShard {
 public:
  explicit Lengths(std::vector<uint32_t> lengths) : lengths_(std::move(lengths)) {}
  size_t size() const override { return lengths_.size(); }
  TokenExample Example(size_t) const override { return {}; }
  std::span<const uint32_t> lengths() const override { return lengths_; }
  std::span<const uint32_t> target_counts() const override { return lengths_; }

 private:
  const std::vector<uint32_t> lengths_;
};

TEST(LargestBatches, AreMeasuredForEverySizeAtOnce) {
  const Lengths shard({3, 5, 2, 4, 9});
  LargestBatches batches(shard, 4, 1);
  batches.Add({.sequences = {{0}, {1}, {2}, {3}}, .tokens = 14});
  batches.Add({.sequences = {{4}}, .tokens = 9});
  const auto expect = [&](int sequences, int64_t tokens, int64_t micro_batches) {
    EXPECT_EQ(batches.Of(sequences).tokens, tokens) << sequences;
    EXPECT_EQ(batches.Of(sequences).targets, tokens) << sequences;
    EXPECT_EQ(batches.Of(sequences).micro_batches_max, micro_batches) << sequences;
  };
  expect(1, 9, 4);
  expect(2, 9, 2);
  expect(3, 10, 2);
  expect(4, 14, 1);
  EXPECT_EQ(batches.sequences_max(), 4);
}

TEST(LargestBatches, AreOfTheRanksParts) {
  const Lengths shard({4, 4, 4, 4});
  LargestBatches batches(shard, 4, 2);
  batches.Add({.sequences = {{0}, {1}, {2}, {3}}, .tokens = 16});
  EXPECT_EQ(batches.Of(4).tokens, 8);
  EXPECT_EQ(batches.Of(1).micro_batches_max, 2);
}

TEST(AddFirstEpoch, EndsWithTheEpochOrWhenAskedTo) {
  const Lengths shard({3, 5, 2, 4, 9});
  const auto plan = StepPlan::Make(shard.lengths(), shard.target_counts(),
                                   {.packing = false, .global_batch = 2, .epochs = 10});
  ASSERT_TRUE(plan.ok());
  int asked = 0;
  LargestBatches epoch(shard, 1, 1), nothing(shard, 1, 1);
  AddFirstEpoch(
      **plan,
      [&] {
        ++asked;
        return false;
      },
      epoch);
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(epoch.Of(1).tokens, 9);
  AddFirstEpoch(
      **plan, [] { return true; }, nothing);
  EXPECT_EQ(nothing.Of(1).tokens, 0);
}

// SmolLM2-135M, 16 sequences of 4,096 tokens a step.
class AdmissionTest : public ::testing::Test {
 protected:
  AdmissionTest() {
    task_.data.base = {.reference = "smollm2@1"};
    task_.data.datasets = {{.reference = "docs@1"}};
    task_.data.train.sequence_length = 4096;
    task_.data.train.micro_batch = 8;
    task_.data.train.global_batch = 16;
    task_.method.type = "full";
  }

  LargestBatches Batches(int ranks) const {
    LargestBatches batches(shard_, 8, ranks);
    PlannedStep step{.tokens = 16 * 4096};
    for (uint32_t i = 0; i < 16; ++i) step.sequences.push_back({i});
    batches.Add(step);
    return batches;
  }

  int64_t Need(const TrainTask& task, int ranks = 1) const {
    return PredictMemory(*ShapeOf(config_, task.method),
                         Batches(ranks).Of(task.data.train.micro_batch), task,
                         {.world_size = ranks})
        .total();
  }

  Admission AdmitOn(const Pools& pools) const {
    const LargestBatches batches = Batches(static_cast<int>(pools.size()));
    return Admit({task_, config_, batches, pools}).value();
  }

  // Just enough, and sure enough, for such a run.
  static int64_t RoomFor(int64_t need) {
    return static_cast<int64_t>(static_cast<double>(need) * (1 + kPredictionError)) + 1;
  }
  Admission AdmitWithRoomFor(int64_t need, int ranks = 1) const {
    return AdmitOn(Pools(ranks, {{.name = "cuda:0", .bytes = RoomFor(need)}}));
  }

  void ExpectChange(const Admission& admission, const std::string& field, const std::string& change,
                    int64_t need) const {
    EXPECT_NE(admission.verdict, Admission::Verdict::kFits) << admission.message;
    EXPECT_EQ(admission.field, field);
    EXPECT_TRUE(admission.message.starts_with(kNeedsMemory)) << admission.message;
    char bytes[32];
    std::snprintf(bytes, sizeof bytes, "%.2f", static_cast<double>(need) / (1 << 30));
    EXPECT_THAT(admission.message, EndsWith(". Set " + change + " (needs " + bytes + " GiB)"));
  }

  const ModelConfig config_ = ParseModelConfig(nlohmann::json{{"model_type", "llama"},
                                                              {"hidden_size", 576},
                                                              {"intermediate_size", 1536},
                                                              {"num_hidden_layers", 30},
                                                              {"num_attention_heads", 9},
                                                              {"num_key_value_heads", 3},
                                                              {"vocab_size", 49152},
                                                              {"tie_word_embeddings", true}}
                                                   .dump(),
                                               "config.json")
                                  .value();
  const Lengths shard_{std::vector<uint32_t>(16, 4096)};
  TrainTask task_;
};

TEST_F(AdmissionTest, WhatSurelyFitsIsLeftAlone) {
  const Admission admission = AdmitWithRoomFor(Need(task_));
  EXPECT_EQ(admission.verdict, Admission::Verdict::kFits);
  EXPECT_EQ(admission.message, "");
  EXPECT_EQ(admission.need.total(), Need(task_));
}

TEST_F(AdmissionTest, WithinThePredictionsErrorNothingIsRefused) {
  const auto need = static_cast<double>(Need(task_));
  for (const double share : {0.85, 0.95, 1.05}) {
    const Admission admission =
        AdmitOn({{{.name = "cuda:0", .bytes = static_cast<int64_t>(need * share)}}});
    EXPECT_EQ(admission.verdict, Admission::Verdict::kMayNotFit) << share;
    EXPECT_THAT(admission.message, HasSubstr("Set train.micro_batch: "));
  }
  EXPECT_EQ(AdmitOn({{{.bytes = static_cast<int64_t>(need * 0.82)}}}).verdict,
            Admission::Verdict::kCannotFit);
}

TEST_F(AdmissionTest, WhereNobodySaysWhatThereIsEverythingFits) {
  EXPECT_EQ(AdmitOn({{}}).verdict, Admission::Verdict::kFits);
}

TEST_F(AdmissionTest, SaysWhatIsNeededByPartAndWhatThereIs) {
  const Admission admission = AdmitOn({{{.name = "cuda:0", .bytes = 1 << 30}}});
  EXPECT_THAT(admission.message,
              AllOf(HasSubstr(" GiB a rank (weights 0.50, gradients 0.50, optimizer 1.00, "),
                    HasSubstr("activations "), HasSubstr("process 0.20)"),
                    HasSubstr("rank 0 has 1.00 GiB (cuda:0)"), Not(HasSubstr("regularize"))));
}

TEST_F(AdmissionTest, TheLargestMicroBatchThatFitsComesFirst) {
  TrainTask fits = task_;
  fits.data.train.micro_batch = 3;
  ExpectChange(AdmitWithRoomFor(Need(fits)), "train.micro_batch", "train.micro_batch: 3",
               Need(fits));
}

TEST_F(AdmissionTest, CheckpointingWhereMicroBatchesCannotBeSmaller) {
  task_.data.train.micro_batch = 1;
  TrainTask fits = task_;
  fits.data.train.activation_checkpointing = true;
  ExpectChange(AdmitWithRoomFor(Need(fits)), "train.activation_checkpointing",
               "train.activation_checkpointing: true", Need(fits));
}

TEST_F(AdmissionTest, BothWhereNeitherIsEnough) {
  TrainTask fits = task_;
  fits.data.train.activation_checkpointing = true;
  fits.data.train.micro_batch = 1;
  ExpectChange(AdmitWithRoomFor(Need(fits)), "train.activation_checkpointing",
               "train.activation_checkpointing: true and train.micro_batch: 1", Need(fits));
}

// What follows has the smallest cut of its steps already.
class CutAdmissionTest : public AdmissionTest {
 protected:
  CutAdmissionTest() {
    task_.data.train.micro_batch = 1;
    task_.data.train.activation_checkpointing = true;
  }
};

TEST_F(CutAdmissionTest, TheOptimizerInParts) {
  TrainTask fits = task_;
  fits.data.train.shard_optimizer = true;
  ExpectChange(AdmitWithRoomFor(Need(fits, 4), 4), "train.shard_optimizer",
               "train.shard_optimizer: true", Need(fits, 4));
}

TEST_F(CutAdmissionTest, FewerRanksWhereTheyShareAHost) {
  task_.method.type = "qlora";
  task_.data.train.precision = "bfloat16";
  const MemoryPool host{.id = "a", .name = "the host", .bytes = RoomFor(2 * Need(task_, 2))};
  const Admission admission = AdmitOn(Pools(3, {host}));
  ExpectChange(admission, "ranks", "ranks: 2", Need(task_, 2));
  EXPECT_THAT(admission.message, HasSubstr("3 ranks share "));
  // Of ranks on hosts of their own fewer would each need as much.
  const Admission apart = AdmitWithRoomFor(Need(task_, 3) / 2, 3);
  EXPECT_THAT(apart.message, Not(HasSubstr("ranks: ")));
}

TEST_F(CutAdmissionTest, ASmallerMethod) {
  TrainTask fits = task_;
  fits.method = {.type = "lora"};
  ExpectChange(AdmitWithRoomFor(Need(fits)), "method.type", "method.type: lora", Need(fits));
  task_.method.type = "lora";
  fits.method.type = "qlora";
  ExpectChange(AdmitWithRoomFor(Need(fits)), "method.type", "method.type: qlora", Need(fits));
}

TEST_F(CutAdmissionTest, HalfThePrecision) {
  task_.method.type = "qlora";
  TrainTask fits = task_;
  fits.data.train.precision = "bfloat16";
  ExpectChange(AdmitWithRoomFor(Need(fits)), "train.precision", "train.precision: bfloat16",
               Need(fits));
}

TEST_F(CutAdmissionTest, ShorterSequences) {
  task_.method.type = "qlora";
  task_.data.train.precision = "bfloat16";
  const MicroBatchShape half{.tokens = 2048, .targets = 2048, .micro_batches_max = 16};
  const int64_t need = PredictMemory(*ShapeOf(config_, task_.method), half, task_).total();
  ExpectChange(AdmitWithRoomFor(need), "train.sequence_length", "train.sequence_length: 2048",
               need);
}

TEST_F(AdmissionTest, SeveralChangesWhereNoneIsEnough) {
  TrainTask fits = task_;
  fits.data.train.micro_batch = 1;
  fits.data.train.activation_checkpointing = true;
  fits.data.train.precision = "bfloat16";
  fits.method = {.type = "lora"};
  ExpectChange(AdmitWithRoomFor(Need(fits)), "method.type",
               "method.type: lora and train.precision: bfloat16 and "
               "train.activation_checkpointing: true and train.micro_batch: 1",
               Need(fits));
}

TEST_F(AdmissionTest, WhereNothingFitsTheBaseIsTooLarge) {
  const Admission admission = AdmitOn({{{.name = "the host", .bytes = 1 << 20}}});
  EXPECT_EQ(admission.verdict, Admission::Verdict::kCannotFit);
  EXPECT_EQ(admission.field, "base");
  EXPECT_THAT(admission.message, HasSubstr("use a smaller base"));
}

TEST_F(AdmissionTest, RanksOfAHostAddUpAndThoseOfGpusDoNot) {
  const int64_t room = RoomFor(Need(task_, 2)) * 3 / 2;
  const auto verdict = [&](const std::string& first, const std::string& second) {
    return AdmitOn({{{.id = first, .bytes = room}}, {{.id = second, .bytes = room}}}).verdict;
  };
  EXPECT_EQ(verdict("a", "a"), Admission::Verdict::kCannotFit);
  EXPECT_EQ(verdict("a", "b"), Admission::Verdict::kFits);
  EXPECT_EQ(verdict("", ""), Admission::Verdict::kFits);
}

TEST_F(AdmissionTest, TheRankWithLeastDecides) {
  const MemoryPool enough{.name = "cuda:0", .bytes = RoomFor(Need(task_, 2))};
  MemoryPool little{.name = "its memory limit", .bytes = 1 << 30};
  const Admission admission = AdmitOn({{enough}, {enough, little}});
  EXPECT_EQ(admission.verdict, Admission::Verdict::kCannotFit);
  EXPECT_THAT(admission.message, HasSubstr("rank 1 has 1.00 GiB (its memory limit)"));
}

}  // namespace
}  // namespace attune::engine
