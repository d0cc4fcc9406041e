// What training records of the examples that it feeds to the model.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.h"
#include "common/ledger/compare.h"
#include "tests/unit/training/task_fixture.h"
#include "worker/engine/data/plan.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Recorder;
using ::testing::SizeIs;

class TrainLedgerTest : public testing::TaskTest {
 protected:
  // Two epochs, the second cut short.
  TrainTask LedgerTask(uint32_t generation) const {
    TrainTask task = Task("full", "run");
    task.data.train.max_steps = 0;
    task.data.train.epochs = 1.5;
    task.checkpoint = {.every_steps = 3, .keep = 2};
    task.evaluate.every_steps = 0;  // it would hear a stop, too
    task.generation = generation;
    return task;
  }

  static auto StopAfter(int steps, StopRequest how) {
    return [=](int, TrainTask&, Recorder& observer) {
      observer.stop = how;
      observer.stop_after = steps;
    };
  }

  ledger::Comparison Compared(bool finished) {
    const fs::path run = LedgerTask(1).run_directory;
    const auto plan = ledger::PlanFile::Open(ledger::PlanPath(run));
    EXPECT_TRUE(plan.ok()) << plan.status().ToString();
    const auto logs = ledger::ReadStepLogs(run);
    EXPECT_TRUE(logs.ok()) << logs.status().ToString();
    return ledger::Compare(*plan, *logs, finished);
  }
};

TEST_F(TrainLedgerTest, ARunThatIsStoppedAndGoesOnWithOtherRanksUsesEveryExampleOnce) {
  // As killed: two steps after the checkpoint of step 3 are lost.
  TrainOn(2, LedgerTask(1), StopAfter(5, StopRequest::kStop));
  const ledger::Comparison half = Compared(false);
  EXPECT_EQ(half.applied_steps, 5u);
  EXPECT_GT(half.uses.to_come, 0u);
  EXPECT_THAT(half.problems, IsEmpty());

  TrainOn(3, LedgerTask(2), StopAfter(4, StopRequest::kCheckpointAndStop));
  const auto ranks = TrainOn(1, LedgerTask(3));
  ASSERT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
  const ledger::Comparison whole = Compared(true);
  EXPECT_THAT(whole.problems, IsEmpty());
  EXPECT_EQ(whole.uses.used, whole.uses.planned);
  EXPECT_EQ(whole.uses.missing + whole.uses.repeated + whole.uses.to_come, 0u);
  ASSERT_THAT(whole.epochs, SizeIs(2));
  EXPECT_EQ(whole.epochs[0].uses.used, 120u);
  EXPECT_LT(whole.epochs[1].uses.planned, 120u);
  ASSERT_THAT(whole.spans, SizeIs(4));
  EXPECT_FALSE(whole.spans[1].kept);
  EXPECT_EQ(whole.spans[1].first, 4u);
  EXPECT_EQ(whole.spans[1].last, 5u);
  EXPECT_EQ(whole.spans[2].ranks, 3u);
  EXPECT_EQ(whole.spans[3].ranks, 1u);
}

TEST_F(TrainLedgerTest, WhatIsReportedIsWhatIsRecordedOnEveryRank) {
  const auto ranks = TrainOn(3, LedgerTask(1));
  const auto logs = ledger::ReadStepLogs(LedgerTask(1).run_directory);
  ASSERT_THAT(*logs, SizeIs(1));
  for (const auto& rank : ranks) {
    ASSERT_TRUE(rank.result.ok()) << rank.result.status().ToString();
    ASSERT_EQ(rank.observer.steps.size(), logs->at(0).steps.size());
    for (size_t i = 0; i < rank.observer.steps.size(); ++i) {
      const StepReport& report = rank.observer.steps[i];
      const ledger::ExampleSum reported{report.examples, report.examples_digest};
      EXPECT_GT(report.examples, 0u);
      EXPECT_EQ(reported, logs->at(0).steps[i].sum) << "step " << i + 1;
    }
  }
}

TEST_F(TrainLedgerTest, WithoutAGenerationThereIsNone) {
  ASSERT_TRUE(TrainOn(1, LedgerTask(0))[0].result.ok());
  EXPECT_FALSE(fs::exists(LedgerTask(0).run_directory / "ledger"));
}

TEST_F(TrainLedgerTest, ACheckpointOfAnotherPlanFormatIsRefused) {
  TrainOn(1, LedgerTask(1), StopAfter(3, StopRequest::kCheckpointAndStop));
  const fs::path state = LedgerTask(1).run_directory / "checkpoints/step-00000003/state.json";
  std::string text = testing::ReadAll(state);
  const std::string own = "\"plan_format\": " + std::to_string(kPlanFormat);
  ASSERT_NE(text.find(own), text.npos) << text;
  text.replace(text.find(own), own.size(), "\"plan_format\": 1");
  ASSERT_TRUE(WriteFileAtomically(state, text).ok());
  const Status refused = TrainOn(1, LedgerTask(2))[0].result.status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("planned steps otherwise (format 1"));
}

// Some ranks have nothing to do in the last step of an epoch, nor in an evaluation of few examples;
// none of them waits for another that has left.
TEST_F(TrainLedgerTest, RanksWithoutAnySequenceTakePart) {
  TrainTask task = LedgerTask(1);
  task.data.train.global_batch = 7;
  task.data.train.packing = false;  // 120 sequences: a last step of one
  task.data.train.epochs = 1;
  task.evaluate = {.every_steps = 5, .split = "validation", .max_examples = 2};
  task.checkpoint = {};
  const auto many = TrainOn(6, task);
  for (const auto& rank : many) ASSERT_TRUE(rank.result.ok()) << rank.result.status().ToString();
  EXPECT_EQ(Compared(true).uses.used, 120u);
  task.run_directory = folder_.path() / "one";
  const auto one = TrainOn(1, task);
  ASSERT_TRUE(one[0].result.ok());
  ASSERT_EQ(one[0].observer.evaluations.size(), many[5].observer.evaluations.size());
  for (size_t i = 0; i < one[0].observer.evaluations.size(); ++i) {
    EXPECT_NEAR(one[0].observer.evaluations[i].loss, many[5].observer.evaluations[i].loss, 1e-5);
  }
}

}  // namespace
}  // namespace attune::engine
