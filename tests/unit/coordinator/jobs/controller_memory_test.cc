#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/jobs/fake_cluster.h"

namespace attune::jobs {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr uint64_t kGiB = 1 << 30;
constexpr char kRefusal[] = "the job needs 20.00 GiB a rank, and rank 0 has 16.00 GiB (the host)";

class ControllerMemoryTest : public testing::Test {
 protected:
  // Until the trainer of an attempt of a job of one rank trains; then refuses it.
  void RefuseAttempt(const std::string& id, uint32_t generation) {
    const std::string trainer = TrainerId(id, generation, 0);
    cluster_.steps_flow = true;
    ASSERT_TRUE(cluster_.RunUntil([&] {
      const auto* there = cluster_.Trainer(trainer);
      const bool trains = there != nullptr && there->task && there->task->has_train();
      if (trains) cluster_.steps_flow = false;
      return trains;
    })) << cluster_.Job(id).DebugString();
    cluster_.FailTask(trainer, v1::TaskFailed::NO_MEMORY, kRefusal);
    cluster_.steps_flow = true;
  }
  FakeCluster cluster_;
};

TEST_F(ControllerMemoryTest, AJobThatDoesNotFitIsTriedWhereThereIsMore) {
  cluster_.AddWorker("a", 1, 16 * kGiB);  // the tightest fit
  cluster_.AddWorker("b", 2, 16 * kGiB);
  cluster_.AddWorker("c", 4, 64 * kGiB);
  const std::string id = cluster_.Submit(1, 5);
  RefuseAttempt(id, 1);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Trainer(id + "-g2-r0") != nullptr; }, 10));
  v1::Job job = cluster_.Job(id);
  EXPECT_EQ(cluster_.Trainer(id + "-g2-r0")->node, "c") << "b has no more than a";
  EXPECT_THAT(job.avoided_nodes(), UnorderedElementsAre("a", "b"));
  EXPECT_THAT(job.incidents(0).cause(), HasSubstr("needs 20.00 GiB"));
  EXPECT_EQ(job.restarts(), 0u);
  EXPECT_EQ(job.failures_in_row() + job.losses_in_row(), 0u) << "refused, not lost";
  EXPECT_EQ(cluster_.lost_told["no_memory"], 1);
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerMemoryTest, ItWaitsForTheLargerNode) {
  cluster_.AddWorker("c", 1, 64 * kGiB);
  const std::string first = cluster_.Submit(1, 1000);
  ASSERT_TRUE(cluster_.RunUntilState(first, v1::Job::RUNNING));
  cluster_.AddWorker("a", 1, 16 * kGiB);
  const std::string id = cluster_.Submit(1, 5);
  RefuseAttempt(id, 1);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::QUEUED, 5));
  EXPECT_FALSE(cluster_.RunUntil([&] { return cluster_.Job(id).generation() > 1; }, 10));
  v1::CancelJobRequest cancel;
  cancel.set_id(first);
  ASSERT_TRUE(cluster_.controller().Cancel(cancel).ok());
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerMemoryTest, ItFailsWhereNoneIsLarger) {
  cluster_.AddWorker("a", 1, 16 * kGiB);
  cluster_.AddWorker("b", 2, 32 * kGiB);
  cluster_.AddWorker("c", 3, 8 * kGiB);
  const std::string id = cluster_.Submit(1, 5);
  RefuseAttempt(id, 1);
  RefuseAttempt(id, 2);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::FAILED, 10));
  EXPECT_EQ(cluster_.Job(id).reason(), kRefusal);
  EXPECT_EQ(cluster_.Job(id).generation(), 2u);
}

TEST_F(ControllerMemoryTest, AnIncidentTellsWhatAKilledTrainerHadUsed) {
  cluster_.AddWorker("a", 1);
  cluster_.memory_peak_bytes = 3 * kGiB;
  const std::string id = cluster_.Submit(1, 30);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
  cluster_.KillTrainer(id + "-g1-r0", 9);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 5));
  EXPECT_EQ(cluster_.Job(id).incidents(0).cause(),
            "killed by signal 9 (SIGKILL), had used up to 3.0 GiB: the kernel may have run out of "
            "memory");
}

}  // namespace
}  // namespace attune::jobs
