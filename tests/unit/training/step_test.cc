#include "worker/engine/tasks/step.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "tests/support/temporary_folder.h"
#include "tests/unit/training/ranks.h"
#include "tests/unit/training/step_run.h"

namespace attune::engine {
namespace {

using testing::RunSteps;
using testing::StepInput;
using testing::StepRun;

ModelFiles Tiny(const TemporaryFolder& folder) {
  return {.reference = "tiny@1", .path = folder.path(), .format = "huggingface"};
}

class RanksTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { testing::WriteTinyLlama(folder_.path(), {}, 3); }

  TrainTask Task(int micro_batch) const {
    TrainTask task;
    task.method = {.type = GetParam(), .rank = 4, .alpha = 8};
    task.data.train = {.epochs = 20,
                       .sequence_length = 48,
                       .packing = true,
                       .global_batch = 8,
                       .micro_batch = micro_batch,
                       .seed = 5};
    task.optimizer = {.learning_rate = 2e-3, .weight_decay = 0.01, .warmup_steps = 2};
    return task;
  }
  StepRun Run(int world_size, int micro_batch, int steps = 20) {
    const StepInput input{.model = Tiny(folder_),
                          .shard = testing::RandomExamples(50, 9, 97),
                          .task = Task(micro_batch)};
    return RunSteps(input, world_size, steps);
  }

  TemporaryFolder folder_;
};

double LargestDifference(const NamedTensors& a, const NamedTensors& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, (a[i].second - b[i].second).abs().max().item<double>());
  }
  return largest;
}

TEST_P(RanksTest, LossesAgreeStepByStepForAnyRanksAndAccumulation) {
  const StepRun one = Run(1, 8);
  EXPECT_LT(one.reports.back().loss, one.reports.front().loss - 0.05);
  const std::vector<std::pair<int, int>> others = {{1, 1}, {2, 4}, {3, 2}, {2, 1}};
  for (const auto& [ranks, micro_batch] : others) {
    const StepRun other = Run(ranks, micro_batch);
    for (size_t i = 0; i < one.reports.size(); ++i) {
      EXPECT_NEAR(other.reports[i].loss, one.reports[i].loss, 5e-5)
          << ranks << " ranks, micro-batch " << micro_batch << ", step " << i + 1;
      EXPECT_EQ(other.reports[i].target_tokens, one.reports[i].target_tokens);
    }
  }
}

// The first step has the learning rate 0 of warm-up; the second makes the update.
TEST_P(RanksTest, OneUpdateAgrees) {
  const StepRun one = Run(1, 8, 2), three = Run(3, 1, 2);
  EXPECT_LT(LargestDifference(one.parameters, three.parameters), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Methods, RanksTest, ::testing::Values("full", "lora"));

TEST(StepRunner, AnOptimizerInPartsMakesTheSameBits) {
  TemporaryFolder folder;
  testing::WriteTinyLlama(folder.path(), {}, 3);
  StepInput input{.model = Tiny(folder), .shard = testing::RandomExamples(30, 9, 97)};
  input.task.method.type = "full";
  input.task.data.train = {.epochs = 4, .sequence_length = 48, .global_batch = 4};
  for (const char* name : {"adamw", "adamw-8bit", "adafactor", "sgd", "lion"}) {
    input.task.optimizer = {.name = name, .learning_rate = 1e-3, .weight_decay = 0.1};
    for (const int ranks : {1, 2, 3}) {
      input.task.data.train.shard_optimizer = false;
      const StepRun whole = RunSteps(input, ranks, 5);
      input.task.data.train.shard_optimizer = true;
      const StepRun parts = RunSteps(input, ranks, 5);
      for (size_t p = 0; p < whole.parameters.size(); ++p) {
        EXPECT_TRUE(at::equal(parts.parameters[p].second, whole.parameters[p].second))
            << name << ", " << ranks << " ranks: " << whole.parameters[p].first;
      }
    }
  }
}

TEST(StepRunner, ALossThatIsNoNumberStopsWithTheStep) {
  TemporaryFolder folder;
  testing::WriteTinyLlama(folder.path(), {}, 3);
  TrainTask task;
  task.method.type = "full";
  task.data.train.sequence_length = 32;
  TrainingSetup setup;
  setup.data.train = testing::RandomExamples(4, 1, 97);
  task.data.base = Tiny(folder);
  setup.plan = *MakePlan(task, setup.data);
  ASSERT_TRUE(LoadForTraining(task, {.type = "causal-lm"}, {}, setup).ok());
  {
    at::NoGradGuard no_grad;
    at::Tensor(setup.trainable[0].second).fill_(std::numeric_limits<float>::quiet_NaN());
  }
  auto group = std::move(*Group::Open({}, nullptr));
  StepRunner runner(task, setup, *group);
  const auto outcome = runner.Run(0, StopRequest::kNone, [] { return Status(); });
  EXPECT_EQ(outcome.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(outcome.status().message(), ::testing::HasSubstr("at step 1"));
  EXPECT_THAT(outcome.status().message(), ::testing::HasSubstr("learning_rate"));
}

// A model whose embedding of one token has grown out of all bounds: only the example that has it
// is no number.
TEST(StepRunner, NamesTheExampleThatIsNoNumberOnAllRanks) {
  auto shard = std::make_shared<testing::MemoryShard>();
  for (uint32_t i = 0; i < 8; ++i) shard->Add({5, 6 + i, i == 5 ? 95u : 7u, 9}, {0, 1, 1, 1});
  TrainTask task;
  task.method.type = "full";
  task.data.train.sequence_length = 32;
  task.data.train.global_batch = 8;
  task.data.train.packing = false;
  task.data.base = {
      .reference = "m@1", .path = "tests/fixtures/model/default", .format = "huggingface"};
  std::vector<std::string> messages(2);
  testing::RunRanks(2, [&](const Membership& membership, KeyValueStore* store) {
    TrainingSetup setup;
    setup.data.train = shard;
    setup.plan = *MakePlan(task, setup.data);
    ASSERT_TRUE(LoadForTraining(task, {.type = "causal-lm"}, membership, setup).ok());
    for (auto& [name, parameter] : setup.trainable) {
      at::NoGradGuard no_grad;
      if (name == "model.embed_tokens.weight") {
        parameter[95].fill_(std::numeric_limits<float>::infinity());
      }
    }
    auto group = std::move(*Group::Open(membership, store));
    StepRunner runner(task, setup, *group);
    const auto outcome = runner.Run(0, StopRequest::kNone, [] { return Status(); });
    EXPECT_EQ(outcome.status().code(), StatusCode::kFailedPrecondition);
    messages[membership.rank] = outcome.status().message();
  });
  EXPECT_EQ(messages[0], messages[1]);
  std::string id;
  for (const uint8_t byte : shard->Example(5).id) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", byte);
    id += hex;
  }
  EXPECT_THAT(messages[0], ::testing::HasSubstr("this one does so alone: " + id + "."));
  EXPECT_THAT(messages[0], ::testing::HasSubstr("there is no checkpoint"));
}

TEST(StepRunner, DropoutDoesNotDependOnRanksAndMicroBatches) {
  TemporaryFolder folder;
  testing::WriteTinyLlama(folder.path(), {}, 3);
  StepInput input{.model = Tiny(folder), .shard = testing::RandomExamples(30, 9, 97)};
  input.task.method = {.type = "lora", .rank = 4, .alpha = 8, .dropout = 0.3};
  input.task.data.train = {.epochs = 4, .sequence_length = 48, .global_batch = 4};
  input.task.optimizer.learning_rate = 5e-3;
  const StepRun one = RunSteps(input, 1, 8);
  for (const int ranks : {1, 2, 3}) {
    for (const int micro_batch : {1, 2, 4}) {
      input.task.data.train.micro_batch = micro_batch;
      const StepRun other = RunSteps(input, ranks, 8);
      for (size_t i = 0; i < 8; ++i) {
        EXPECT_NEAR(other.reports[i].loss, one.reports[i].loss, 5e-5)
            << ranks << " ranks, micro-batch " << micro_batch << ", step " << i + 1;
      }
    }
  }
  input.task.method.dropout = 0;
  const StepRun without = RunSteps(input, 1, 8);
  EXPECT_GT(std::abs(without.reports[7].loss - one.reports[7].loss), 1e-3);
}

}  // namespace
}  // namespace attune::engine
