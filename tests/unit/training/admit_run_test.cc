// Whole runs that have too little memory, or enough.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/training/ranks.h"
#include "tests/unit/training/task_fixture.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Recorder;

constexpr int64_t kTooLittle = 1 << 20;

class AdmitRunTest : public testing::TaskTest {
 protected:
  // On so many ranks, the last of which may use only so much.
  std::vector<RankResult> TrainLimited(int world_size, const TrainTask& task,
                                       int64_t memory_limit) const {
    std::vector<RankResult> ranks(world_size);
    testing::RunRanks(world_size, [&](Membership membership, KeyValueStore* store) {
      RankResult& rank = ranks[membership.rank];
      if (membership.rank == world_size - 1) membership.memory_limit = memory_limit;
      TrainTask mine = task;
      mine.resume_from = mine.run_directory / "checkpoints";
      rank.result = Train(mine, membership, store, rank.observer);
    });
    return ranks;
  }
};

TEST_F(AdmitRunTest, ARunThatCannotFitIsRefusedOnAllRanksBeforeAnythingIsLoaded) {
  const TrainTask task = Task("full", "run");
  const auto ranks = TrainLimited(2, task, kTooLittle);
  for (const RankResult& rank : ranks) {
    const Status& status = rank.result.status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
    EXPECT_EQ(status.field(), "base");
    EXPECT_EQ(status.message(), ranks[0].result.status().message());
    EXPECT_THAT(status.message(), HasSubstr("rank 1 has 0.00 GiB (its memory limit)"));
    EXPECT_THAT(rank.observer.steps, IsEmpty());
    EXPECT_THAT(rank.observer.evaluations, IsEmpty());
    EXPECT_THAT(rank.observer.warnings, IsEmpty());
  }
  EXPECT_FALSE(fs::exists(task.run_directory / "checkpoints"));
}

TEST_F(AdmitRunTest, ARunThatResumesIsWarnedAbout) {
  const TrainTask task = Task("full", "run");
  const auto stopped = TrainOn(1, task, [](int, TrainTask&, Recorder& observer) {
    observer.stop = StopRequest::kCheckpointAndStop, observer.stop_after = 4;
  });
  ASSERT_EQ(stopped[0].result.status().code(), StatusCode::kCancelled);
  const auto resumed = TrainLimited(1, task, kTooLittle);
  ASSERT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
  EXPECT_EQ(resumed[0].observer.steps.front().step, 5);
  EXPECT_THAT(resumed[0].observer.warnings, Contains(HasSubstr("memory may not suffice")));
}

TEST_F(AdmitRunTest, EveryRankReportsWhatWasPredictedAndTaken) {
  const TrainTask task = Task("lora", "run");
  Recorder observer;
  const auto plan = Plan(task, 2, observer);
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  const auto ranks = TrainLimited(2, task, int64_t{1} << 40);
  for (const RankResult& rank : ranks) {
    ASSERT_TRUE(rank.result.ok()) << rank.result.status().ToString();
    EXPECT_THAT(rank.observer.warnings, IsEmpty());
    for (size_t i = 0; i < rank.observer.steps.size(); ++i) {
      const StepReport& report = rank.observer.steps[i];
      EXPECT_EQ(report.predicted_memory, plan->memory.total());
      EXPECT_EQ(report.peak_memory, ranks[0].observer.steps[i].peak_memory);
      EXPECT_GT(report.peak_memory, 1 << 20);
    }
  }
}

}  // namespace
}  // namespace attune::engine
