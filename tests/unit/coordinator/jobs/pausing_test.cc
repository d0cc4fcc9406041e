#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/jobs/fake_cluster.h"

namespace attune::jobs {
namespace {

using testing::HasSubstr;

class PausingTest : public testing::Test {
 protected:
  // A job on two ranks with a checkpoint of step 5, asked to pause at step 7 or later, which does
  // not get on.
  void SetUp() override {
    cluster_.AddWorker("a", 2);
    id_ = cluster_.Submit(2, 30);
  }
  void AskToPause() {
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id_).step() >= 7; }));
    cluster_.steps_flow = false;
    v1::PauseJobRequest pause;
    pause.set_id(id_);
    ASSERT_TRUE(cluster_.controller().Pause(pause).ok());
  }
  void Say(uint32_t rank, const std::string& phase) {
    v1::TrainerMessage message;
    message.mutable_progress()->set_phase(phase);
    cluster_.controller().OnTrainerMessage(TrainerId(id_, 1, rank), message);
  }
  // Whether it still pauses after so long. Rank 1 says something, so that nothing hangs.
  bool PausesFor(int seconds) {
    for (; seconds > 0; seconds -= 100) {
      Say(1, "training");
      const auto over = [&] { return cluster_.Job(id_).state() == v1::Job::PAUSED; };
      if (cluster_.RunUntil(over, std::min(seconds, 100))) return false;
    }
    return true;
  }
  std::string id_;
  FakeCluster cluster_;
};

TEST_F(PausingTest, ACheckpointThatTakesLongIsWaitedFor) {
  AskToPause();
  Say(0, "saving");
  EXPECT_TRUE(PausesFor(600)) << cluster_.Job(id_).reason();
  cluster_.steps_flow = true;  // it is durable
  ASSERT_TRUE(cluster_.RunUntilState(id_, v1::Job::PAUSED, 5));
  EXPECT_EQ(cluster_.Job(id_).reason(), "paused by the user");
}

TEST_F(PausingTest, ButNotForEver) {
  AskToPause();
  Say(0, "saving");
  EXPECT_TRUE(PausesFor(1'790));
  EXPECT_FALSE(PausesFor(20));
  EXPECT_EQ(
      cluster_.Job(id_).reason(),
      "paused by the user, without a new checkpoint (it was not written within 1,800 seconds, "
      "see pause_limit of the coordinator); resumes from step 5");
}

TEST_F(PausingTest, EachWordOfRankZeroIsWaitedOnAnew) {
  AskToPause();
  for (int i = 0; i < 4; ++i) {
    Say(0, "evaluating");
    EXPECT_TRUE(PausesFor(110)) << i;
  }
  EXPECT_FALSE(PausesFor(20));
  EXPECT_THAT(cluster_.Job(id_).reason(), HasSubstr("see pause_timeout"));
}

TEST_F(PausingTest, AStepMayTakeAsLongAsTheLastAndMore) {
  cluster_.step_seconds = 300;
  AskToPause();
  EXPECT_TRUE(PausesFor(590));
  EXPECT_FALSE(PausesFor(20));
}

}  // namespace
}  // namespace attune::jobs
