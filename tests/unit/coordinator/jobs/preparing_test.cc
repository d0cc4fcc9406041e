// All ranks of an attempt prepare its data.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/jobs/fake_cluster.h"

namespace attune::jobs {
namespace {

class PreparingTest : public ::testing::Test {
 protected:
  // A job of two ranks that both have their task and do nothing yet.
  void SetUp() override {
    cluster_.AddWorker("a", 2);
    cluster_.steps_flow = false;
    id_ = cluster_.Submit(2, 5);
    ASSERT_TRUE(cluster_.RunUntil([&] { return HasTask(0) && HasTask(1); }));
  }

  FakeCluster::FakeTrainer* Rank(uint32_t rank) {
    return cluster_.Trainer(TrainerId(id_, 1, rank));
  }
  bool HasTask(uint32_t rank) { return Rank(rank) != nullptr && Rank(rank)->task.has_value(); }

  void Say(uint32_t rank, double done, double own, const std::string& phase = "tokenizing") {
    v1::TrainerMessage message;
    message.mutable_progress()->set_phase(phase);
    message.mutable_progress()->set_done(done);
    message.mutable_progress()->set_own(own);
    message.mutable_progress()->set_total(100);
    cluster_.controller().OnTrainerMessage(TrainerId(id_, 1, rank), message);
  }
  void PassSeconds(int seconds) {
    for (int i = 0; i < 10 * seconds; ++i) cluster_.Step();
  }
  double Done() { return cluster_.Job(id_).progress().done(); }

  FakeCluster cluster_;
  std::string id_;
};

TEST_F(PreparingTest, EachRankHasTheTaskAndAllAreWaitedFor) {
  for (uint32_t rank = 0; rank < 2; ++rank) {
    EXPECT_TRUE(Rank(rank)->task->has_prepare());
    EXPECT_EQ(Rank(rank)->task->rank(), rank);
    EXPECT_EQ(Rank(rank)->task->world_size(), 2u);
  }
  Rank(1)->hangs = true;
  cluster_.steps_flow = true;
  PassSeconds(5);
  EXPECT_EQ(cluster_.Job(id_).state(), v1::Job::PREPARING);
  EXPECT_EQ(cluster_.CountEvents(id_, "started"), 0);
  Rank(1)->hangs = false;
  EXPECT_TRUE(cluster_.RunUntilState(id_, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id_).generation(), 1u);
}

TEST_F(PreparingTest, ProgressIsOneNumberOfAllRanksThatDoesNotFall) {
  Say(0, 10, 10);
  EXPECT_EQ(Done(), 10);
  EXPECT_EQ(cluster_.Job(id_).progress().total(), 100);
  EXPECT_EQ(cluster_.Job(id_).reason(), "tokenizing");
  EXPECT_FALSE(cluster_.Job(id_).progress().has_seconds_left());
  PassSeconds(2);
  Say(1, 5, 5);
  EXPECT_EQ(Done(), 15);
  EXPECT_NEAR(cluster_.Job(id_).progress().seconds_left(), 2.0 * 85 / 5, 1);
  PassSeconds(2);
  Say(0, 50, 0);  // has finished shards that rank 1 does not see yet
  EXPECT_EQ(Done(), 55);
  PassSeconds(2);
  Say(0, 40, 0);
  EXPECT_EQ(Done(), 55);
  Say(1, 100, 15);
  EXPECT_EQ(Done(), 100);
  cluster_.steps_flow = true;
  ASSERT_TRUE(cluster_.RunUntilState(id_, v1::Job::RUNNING));
  EXPECT_FALSE(cluster_.Job(id_).has_progress());
}

// Ranks tokenize together, then each verifies a part: what they did adds up.
TEST_F(PreparingTest, EachPhaseBeginsAnewAndCountsTheRanksThatAreInIt) {
  Say(0, 100, 10);
  Say(1, 100, 0);
  EXPECT_EQ(Done(), 100);
  Say(1, 5, 5, "verifying");
  EXPECT_EQ(cluster_.Job(id_).progress().phase(), "tokenizing");
  Say(0, 10, 10, "verifying");
  EXPECT_EQ(cluster_.Job(id_).progress().phase(), "verifying");
  EXPECT_EQ(Done(), 15);
  EXPECT_FALSE(cluster_.Job(id_).progress().has_seconds_left());
  PassSeconds(2);
  Say(0, 20, 20, "verifying");
  EXPECT_EQ(Done(), 25);
  EXPECT_NEAR(cluster_.Job(id_).progress().seconds_left(), 2.0 * 75 / 10, 1);
}

TEST_F(PreparingTest, AWatchIsNotFlooded) {
  for (int i = 1; i <= 50; ++i) {
    Say(0, i, i);
    cluster_.Step();
  }
  EXPECT_LE(cluster_.CountEvents(id_, "progress"), 6);
  EXPECT_GE(cluster_.CountEvents(id_, "progress"), 4);
}

TEST_F(PreparingTest, ALostRankEndsTheAttemptAndTheNextOnePreparesAgain) {
  Say(0, 60, 10);
  cluster_.KillTrainer(TrainerId(id_, 1, 1), 9);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id_).restarts() == 1; }));
  EXPECT_FALSE(cluster_.Job(id_).has_progress());
  cluster_.steps_flow = true;
  EXPECT_TRUE(cluster_.RunUntilState(id_, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id_).generation(), 2u);
}

// Tokens that somebody removed between the tasks: the storage's fault, and mended by preparing.
TEST_F(PreparingTest, TokensThatAreGoneWhenTrainingStartsAreMadeByTheNextAttempt) {
  cluster_.steps_flow = true;
  ASSERT_TRUE(cluster_.RunUntil([&] { return HasTask(0) && Rank(0)->task->has_train(); }));
  cluster_.steps_flow = false;
  cluster_.FailTask(TrainerId(id_, 1, 0), v1::TaskFailed::STORAGE, "no tokens");
  const auto again = [&] { return cluster_.Trainer(TrainerId(id_, 2, 0)); };
  ASSERT_TRUE(cluster_.RunUntil([&] { return again() != nullptr && again()->task.has_value(); }));
  EXPECT_TRUE(again()->task->has_prepare());
  cluster_.steps_flow = true;
  EXPECT_TRUE(cluster_.RunUntilState(id_, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id_).failures_in_row(), 0u);
}

TEST_F(PreparingTest, ARestartedCoordinatorGivesEachRankItsTaskAgain) {
  Say(0, 60, 10);
  cluster_.StopController();
  cluster_.StartController();
  EXPECT_EQ(Done(), 60);
  cluster_.steps_flow = true;
  EXPECT_TRUE(cluster_.RunUntilState(id_, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id_).generation(), 1u);
}

}  // namespace
}  // namespace attune::jobs
