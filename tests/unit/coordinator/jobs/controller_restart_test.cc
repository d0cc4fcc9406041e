// kill -9 of the coordinator at any time: a new controller on the same store goes on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/jobs/fake_cluster.h"

namespace attune::jobs {
namespace {

class ControllerRestartTest : public testing::Test {
 protected:
  void Restart(int dead_tenths) {
    cluster_.StopController();
    for (int i = 0; i < dead_tenths; ++i) cluster_.Step();
    cluster_.StartController();
  }
  FakeCluster cluster_;
};

TEST_F(ControllerRestartTest, RunningTrainersGoOnWithoutANewGeneration) {
  cluster_.AddWorker("a", 2);
  const std::string id = cluster_.Submit(2, 60);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
  Restart(20);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id).generation(), 1u);
  EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
  EXPECT_EQ(cluster_.steps_told, 60) << "every step was applied exactly once";
}

TEST_F(ControllerRestartTest, ReportsThatWereCommittedButNotAcknowledgedCountOnce) {
  cluster_.AddWorker("a", 1);
  const std::string id = cluster_.Submit(1, 40);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 3; }));
  cluster_.ForgetAcknowledgements(id + "-g1-r0");
  Restart(5);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.steps_told, 40);
}

TEST_F(ControllerRestartTest, QueuedJobsStayQueuedInOrder) {
  const std::string first = cluster_.Submit(1, 3);
  const std::string second = cluster_.Submit(1, 3);
  Restart(5);
  EXPECT_EQ(cluster_.Job(first).state(), v1::Job::QUEUED);
  cluster_.AddWorker("a", 1);
  ASSERT_TRUE(cluster_.RunUntilState(first, v1::Job::SUCCEEDED));
  EXPECT_NE(cluster_.Job(second).state(), v1::Job::SUCCEEDED);
  EXPECT_TRUE(cluster_.RunUntilState(second, v1::Job::SUCCEEDED));
}

// The coordinator dies after every tenth of a second of a job's life, once per test run.
TEST_F(ControllerRestartTest, DeathAtAnyTimeIsSurvived) {
  cluster_.AddWorker("a", 1);
  cluster_.AddWorker("b", 1);
  for (int delay = 0; delay < 28; delay += 3) {
    SCOPED_TRACE(delay);
    cluster_.steps_told = 0;
    const std::string id = cluster_.Submit(2, 12);
    for (int i = 0; i < delay; ++i) cluster_.Step();
    Restart(delay % 4);
    ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED)) << cluster_.Job(id).DebugString();
    EXPECT_EQ(cluster_.Job(id).step(), 12u);
    EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
    EXPECT_TRUE(cluster_.registered_jobs.contains(id));
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.running() == 0; }));
  }
}

// Between a commit and what was to be sent because of it.
TEST_F(ControllerRestartTest, DeathAfterAnyCommitIsSurvived) {
  cluster_.AddWorker("a", 1);
  cluster_.AddWorker("b", 1);
  cluster_.Step();
  for (int commits = 1; commits < 30; ++commits) {
    SCOPED_TRACE(commits);
    cluster_.commits_left = commits;
    const std::string id = cluster_.Submit(2, 6);
    (void)cluster_.RunUntil([&] { return cluster_.commits_left == 0; }, 5);
    const v1::Job::State last = cluster_.Job(id).state();
    Restart(1);
    ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED)) << cluster_.Job(id).DebugString();
    EXPECT_EQ(cluster_.Job(id).step(), 6u);
    EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.running() == 0; }));
    EXPECT_TRUE(cluster_.RunUntil([&] { return !cluster_.HasCheckpoints(id); }, 2));
    if (last == v1::Job::SUCCEEDED) break;
  }
}

TEST_F(ControllerRestartTest, ATrainerThatDiedMeanwhileIsAnIncident) {
  cluster_.AddWorker("a", 2);
  const std::string id = cluster_.Submit(2, 60);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
  cluster_.StopController();
  cluster_.KillTrainer(id + "-g1-r1", 9);
  cluster_.StartController();
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id).restarts(), 1u);
  EXPECT_EQ(cluster_.Job(id).incidents(0).cause(), "killed by signal 9 (SIGKILL)");
}

TEST_F(ControllerRestartTest, AFailureThatWaitedForItsCauseIsNotForgotten) {
  cluster_.AddWorker("a", 2);
  const std::string id = cluster_.Submit(2, 60);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::PEER_LOST, "connection reset");
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Trainer(id + "-g1-r0")->kept.empty(); }, 2));
  EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
  Restart(2);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 10));
  EXPECT_EQ(cluster_.Job(id).incidents(0).cause(), "connection reset");
}

TEST_F(ControllerRestartTest, AWorkerThatDoesNotComeBackIsLost) {
  cluster_.AddWorker("a", 1);
  cluster_.AddWorker("b", 1);
  const std::string id = cluster_.Submit(2, 100);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
  cluster_.StopController();
  cluster_.KillWorker("b");
  cluster_.StartController();
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 35));
  cluster_.AddWorker("b", 1);
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerRestartTest, APausedJobStaysPausedAndAPausingOneGetsThere) {
  cluster_.AddWorker("a", 1);
  const std::string id = cluster_.Submit(1, 100);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
  cluster_.steps_flow = false;
  v1::PauseJobRequest pause;
  pause.set_id(id);
  ASSERT_TRUE(cluster_.controller().Pause(pause).ok());
  Restart(2);
  cluster_.steps_flow = true;
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::PAUSED));
  Restart(2);
  EXPECT_FALSE(cluster_.RunUntil([&] { return cluster_.Job(id).state() != v1::Job::PAUSED; }, 10));
}

}  // namespace
}  // namespace attune::jobs
