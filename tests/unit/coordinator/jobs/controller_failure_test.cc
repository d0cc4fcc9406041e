#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/coordinator/jobs/fake_cluster.h"

namespace attune::jobs {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class ControllerFailureTest : public testing::Test {
 protected:
  // A job on two ranks that has a checkpoint of step 5 and is at step 7 or later.
  std::string RunToStepSeven() {
    cluster_.AddWorker("a", 1);
    cluster_.AddWorker("b", 1);
    std::string id = cluster_.Submit(2, 30);
    EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
    return id;
  }
  FakeCluster cluster_;
};

TEST_F(ControllerFailureTest, DeadTrainerRestartsFromTheLastCheckpoint) {
  const std::string id = RunToStepSeven();
  cluster_.KillTrainer(id + "-g1-r1", 9);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 5));
  v1::Job job = cluster_.Job(id);
  ASSERT_EQ(job.incidents_size(), 1);
  EXPECT_EQ(job.incidents(0).rank(), 1);
  EXPECT_EQ(job.incidents(0).node(), "b");
  EXPECT_EQ(job.incidents(0).cause(), "killed by signal 9 (SIGKILL)");
  EXPECT_EQ(job.incidents(0).log_tail(0), "last words of " + id + "-g1-r1");
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Trainer(id + "-g2-r0") != nullptr; }));
  EXPECT_EQ(cluster_.Trainer(id + "-g1-r0"), nullptr) << "the other rank was stopped first";
  ASSERT_TRUE(cluster_.RunUntil([&] {
    auto* trainer = cluster_.Trainer(id + "-g2-r0");
    return trainer != nullptr && trainer->task && trainer->task->has_train();
  }));
  EXPECT_EQ(cluster_.Trainer(id + "-g2-r0")->resumed_from, 5u);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id).generation(), 2u);
  EXPECT_EQ(cluster_.Job(id).step(), 30u);
  EXPECT_EQ(cluster_.restarts_told, 1);
}

TEST_F(ControllerFailureTest, ALongLogLineIsCutBetweenCharacters) {
  cluster_.last_words.clear();
  for (int i = 0; i < 200; ++i) cluster_.last_words += "\u20ac";  // three bytes; 400 is no multiple
  const std::string id = RunToStepSeven();
  cluster_.KillTrainer(id + "-g1-r1", 9);
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 5));
  cluster_.StopController();
  cluster_.StartController();
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerFailureTest, AWarningIsToldOnceForAllAttempts) {
  cluster_.prepare_warning = "2 are cut";
  const std::string id = RunToStepSeven();
  cluster_.KillTrainer(id + "-g1-r1", 9);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id).generation(), 2u);
  EXPECT_THAT(cluster_.Job(id).warnings(), testing::ElementsAre("2 are cut"));
  const auto types = cluster_.EventTypes(id);
  EXPECT_EQ(std::ranges::count(types, "warning"), 1);
}

TEST_F(ControllerFailureTest, TheRestartBudgetIsBounded) {
  cluster_.AddWorker("a", 1);
  auto request = cluster_.TrainRequest(1, 1, 1000);
  request.mutable_spec()->mutable_retry()->set_max_restarts(2);
  auto job = cluster_.controller().Submit(request);
  ASSERT_TRUE(job.ok());
  const std::string id = job->id();
  for (int generation = 1; generation <= 3; ++generation) {
    const std::string trainer = id + "-g" + std::to_string(generation) + "-r0";
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Trainer(trainer) != nullptr; }));
    cluster_.KillTrainer(trainer, 11);
  }
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::FAILED));
  EXPECT_EQ(cluster_.Job(id).restarts(), 2u);
  EXPECT_EQ(cluster_.Job(id).reason(),
            "rank 0 on a: killed by signal 11 (SIGSEGV); restarted 2 times, the most allowed");
}

TEST_F(ControllerFailureTest, AStopFromOutsideCostsNoRestart) {
  const std::string id = RunToStepSeven();
  for (uint32_t generation = 1; generation <= 5; ++generation) {
    const std::string trainer = TrainerId(id, generation, 1);
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Trainer(trainer) != nullptr; }));
    cluster_.KillTrainer(trainer, 15);
  }
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
  EXPECT_EQ(cluster_.Job(id).generation(), 6u);
}

TEST_F(ControllerFailureTest, LostWorkerIsSeenByItsSilence) {
  const std::string id = RunToStepSeven();
  cluster_.KillWorker("b");
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 12));
  v1::Job job = cluster_.Job(id);
  EXPECT_EQ(job.incidents(0).rank(), -1);
  EXPECT_EQ(job.incidents(0).node(), "b");
  EXPECT_THAT(job.incidents(0).cause(), HasSubstr("worker lost: b"));
  ASSERT_TRUE(cluster_.RunUntil(
      [&] { return cluster_.Job(id).reason() == "needs 2 slots; the cluster has 1 in total"; }));
  cluster_.AddWorker("c", 1);
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerFailureTest, ALostWorkerIsForgottenInTheEnd) {
  cluster_.AddWorker("a", 1);
  cluster_.AddWorker("b", 1);
  const auto nodes = [&] { return cluster_.controller().Nodes().size(); };
  ASSERT_TRUE(cluster_.RunUntil([&] { return nodes() == 2; }, 5));
  cluster_.KillWorker("b");
  EXPECT_FALSE(cluster_.RunUntil([&] { return nodes() < 2; }, 200));
  cluster_.StopController();
  cluster_.StartController();
  EXPECT_FALSE(cluster_.RunUntil([&] { return nodes() < 2; }, 390)) << "counted over the restart";
  EXPECT_TRUE(cluster_.RunUntil([&] { return nodes() == 1; }, 15));
  EXPECT_EQ(cluster_.controller().Nodes()[0].name(), "a");
  EXPECT_THAT(cluster_.EventTypes("b", "node"), ElementsAre("registered", "lost", "forgotten"));
  cluster_.StopController();
  cluster_.StartController();
  EXPECT_EQ(nodes(), 1u);
  cluster_.AddWorker("b", 1);
  EXPECT_TRUE(cluster_.RunUntil([&] { return nodes() == 2; }, 5));
}

TEST_F(ControllerFailureTest, InvalidInputIsNotRetried) {
  const std::string id = RunToStepSeven();
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::INVALID, "no target token in the data");
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::FAILED));
  EXPECT_EQ(cluster_.Job(id).reason(), "no target token in the data");
  EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.running() == 0; }));
}

TEST_F(ControllerFailureTest, AFullDiskPausesAndRoomResumes) {
  const std::string id = RunToStepSeven();
  cluster_.free_bytes = 1 << 20;
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::NO_SPACE, "checkpoint of step 10");
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::PAUSED));
  EXPECT_THAT(cluster_.Job(id).reason(), HasSubstr("no space on the storage"));
  cluster_.free_bytes = 10 << 20;  // not enough more
  EXPECT_FALSE(cluster_.RunUntil([&] { return cluster_.Job(id).state() != v1::Job::PAUSED; }, 20));
  cluster_.free_bytes = 1 << 30;
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
  EXPECT_THAT(cluster_.free_bytes_asked_of.string(), HasSubstr("runs/" + id));
}

TEST_F(ControllerFailureTest, AFullQuotaIsTriedAgainAfterAWhile) {
  const std::string id = RunToStepSeven();
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::NO_SPACE, "disk quota exceeded");
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::PAUSED));
  EXPECT_FALSE(cluster_.RunUntil([&] { return cluster_.Job(id).state() != v1::Job::PAUSED; }, 290));
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerFailureTest, ALostPeerOfALostWorkerWaitsUntilThatIsKnown) {
  const std::string id = RunToStepSeven();
  cluster_.KillWorker("b");
  cluster_.controller().OnTrainerDetached(id + "-g1-r1");
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::PEER_LOST, "connection reset");
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 30));
  EXPECT_THAT(cluster_.Job(id).incidents(0).cause(), HasSubstr("worker lost: b"));
}

TEST_F(ControllerFailureTest, AWorkerThatStartsAgainWithoutItsTrainersIsKnownAtOnce) {
  const std::string id = RunToStepSeven();
  cluster_.KillWorker("b");
  cluster_.AddWorker("b", 1);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 2));
  EXPECT_EQ(cluster_.Job(id).incidents(0).rank(), 1);
  EXPECT_THAT(cluster_.Job(id).incidents(0).cause(), HasSubstr("worker was restarted"));
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerFailureTest, ALostPeerWaitsForItsCause) {
  const std::string id = RunToStepSeven();
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::PEER_LOST, "connection reset");
  cluster_.Step();
  cluster_.Step();
  EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
  cluster_.KillTrainer(id + "-g1-r1", 9);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 2));
  EXPECT_EQ(cluster_.Job(id).incidents(0).rank(), 1);
  EXPECT_EQ(cluster_.Job(id).incidents(0).cause(), "killed by signal 9 (SIGKILL)");
}

TEST_F(ControllerFailureTest, ALostPeerWithoutACauseIsOne) {
  const std::string id = RunToStepSeven();
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::PEER_LOST, "connection reset");
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 10));
  EXPECT_EQ(cluster_.Job(id).incidents(0).cause(), "connection reset");
}

TEST_F(ControllerFailureTest, AFailureIsActedOnOnceThatCanBeCommitted) {
  const std::string id = RunToStepSeven();
  cluster_.Execute("CREATE TRIGGER refuse BEFORE UPDATE ON jobs WHEN NEW.state = " +
                   std::to_string(v1::Job::QUEUED) + " BEGIN SELECT RAISE(ABORT, 'refused'); END");
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::INTERNAL, "tensor trouble");
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Trainer(id + "-g1-r0")->kept.empty(); }, 2));
  EXPECT_EQ(cluster_.Job(id).state(), v1::Job::RUNNING);
  cluster_.Execute("DROP TRIGGER refuse");
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 2));
  EXPECT_EQ(cluster_.Job(id).incidents(0).cause(), "tensor trouble");
}

TEST_F(ControllerFailureTest, AReportThatWasTurnedAwayComesAgain) {
  const std::string id = RunToStepSeven();
  const int told = cluster_.steps_told;
  cluster_.reports_flow = false;  // until several wait
  ASSERT_TRUE(
      cluster_.RunUntil([&] { return cluster_.Trainer(id + "-g1-r0")->kept.size() >= 3; }, 5));
  cluster_.turn_away_report = cluster_.reports_flow = true;
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_GT(told, 0);
  EXPECT_EQ(cluster_.steps_told, 30);
  EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
}

TEST_F(ControllerFailureTest, ATrainerThatLivesOnUnseenIsToldToExit) {
  const std::string id = RunToStepSeven();
  cluster_.steps_flow = false;
  cluster_.unlisted.insert(id + "-g1-r1");
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 15));
  EXPECT_THAT(cluster_.Job(id).incidents(0).cause(), HasSubstr("the trainer is gone"));
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.Trainer(id + "-g1-r1") == nullptr; }, 2));
  cluster_.steps_flow = true;
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerFailureTest, TrainersThatNeverDialInAreGivenUp) {
  cluster_.AddWorker("a", 1);
  cluster_.trainers_attach = false;
  const std::string id = cluster_.Submit(1, 5);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 130));
  EXPECT_THAT(cluster_.Job(id).incidents(0).cause(), HasSubstr("did not dial in"));
  cluster_.trainers_attach = true;
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerFailureTest, ARankThatHangsIsNamedAndTheJobGoesOn) {
  for (uint32_t rank : {1u, 0u}) {
    SCOPED_TRACE(rank);
    cluster_.stalls_told = 0;
    const std::string id = RunToStepSeven();
    cluster_.Trainer(TrainerId(id, 1, rank))->hangs = true;
    EXPECT_FALSE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() > 0; }, 299));
    EXPECT_THAT(cluster_.controller().Explain(id)->reasons(),
                Contains(HasSubstr("last progress 29")));
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 2));
    const v1::Incident incident = cluster_.Job(id).incidents(0);
    EXPECT_EQ(incident.rank(), static_cast<int>(rank));
    EXPECT_EQ(incident.node(), rank == 0 ? "a" : "b");
    EXPECT_THAT(incident.cause(), HasSubstr("hangs: no rank made progress for 300 seconds"));
    if (rank == 1) {
      EXPECT_THAT(incident.cause(), HasSubstr("\"training\" at step"));
    }
    EXPECT_EQ(cluster_.stalls_told, 1);
    ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
    EXPECT_EQ(cluster_.Job(id).generation(), 2u);
    EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.running() == 0; }));
  }
}

TEST_F(ControllerFailureTest, ASlowRunDoesNotHang) {
  const std::string id = RunToStepSeven();
  for (int i = 0; i < 3; ++i) {
    cluster_.steps_flow = false;
    EXPECT_FALSE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() > 0; }, 290));
    cluster_.steps_flow = true;
    cluster_.Step();
  }
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
}

TEST_F(ControllerFailureTest, ADataPreparationThatHangsIsGivenUp) {
  cluster_.AddWorker("a", 2);
  const std::string id = cluster_.Submit(2, 5);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Trainer(id + "-g1-r0") != nullptr; }));
  cluster_.Trainer(id + "-g1-r0")->hangs = true;
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 305));
  EXPECT_EQ(cluster_.Job(id).incidents(0).rank(), 0);
  EXPECT_THAT(cluster_.Job(id).incidents(0).cause(),
              HasSubstr("it said nothing since its task began, 300 seconds ago"));
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerFailureTest, AWorkerThatComesBackIsToldToKillStrangers) {
  const std::string id = RunToStepSeven();
  cluster_.StopController();
  cluster_.StartController();
  v1::CancelJobRequest cancel;
  cancel.set_id(id);
  ASSERT_TRUE(cluster_.controller().Cancel(cancel).ok());
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.running() == 0; }));
}

}  // namespace
}  // namespace attune::jobs
