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
  EXPECT_NEAR(cluster_.Job(id).applied_seconds(), 30 * 0.25, 1e-9) << "redone steps count once";
  EXPECT_EQ(cluster_.lost_told["trainer"], 1);
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
            "rank 0 on a: killed by signal 11 (SIGSEGV); restarted 2 times without a "
            "new checkpoint, the most allowed");
  EXPECT_EQ(cluster_.lost_told["trainer"], 3) << "the last one too";
}

TEST_F(ControllerFailureTest, AWallClockThatIsSetBackDelaysNothingForLong) {
  const std::string id = RunToStepSeven();
  cluster_.KillTrainer(id + "-g1-r1", 9);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 5));
  cluster_.StepWallClock(-std::chrono::hours(5));
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED, 70));
}

TEST_F(ControllerFailureTest, ANewCheckpointRefillsTheBudget) {
  cluster_.AddWorker("a", 1);
  auto request = cluster_.TrainRequest(1, 1, 40);
  request.mutable_spec()->mutable_retry()->set_max_restarts(1);
  auto job = cluster_.controller().Submit(request);
  ASSERT_TRUE(job.ok());
  const std::string id = job->id();
  for (uint32_t generation = 1; generation <= 5; ++generation) {
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() > 5 * generation; }));
    cluster_.KillTrainer(TrainerId(id, generation, 0), 11);
  }
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id).restarts(), 5u);
}

TEST_F(ControllerFailureTest, ATrainerThatWaitedTooLongForTheCoordinatorIsNotTheJobsFault) {
  const std::string id = RunToStepSeven();
  cluster_.ExitTrainer(id + "-g1-r1", 3);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.lost_told["stopped"], 1);
  EXPECT_EQ(cluster_.lost_told["trainer"], 0);
}

TEST_F(ControllerFailureTest, AFailedJobIsResumedFromItsCheckpoint) {
  const std::string id = RunToStepSeven();
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::INVALID, "a bad row");
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::FAILED));
  EXPECT_TRUE(cluster_.Job(id).has_ended());
  v1::ResumeJobRequest resume;
  resume.set_id(id);
  auto resumed = cluster_.controller().Resume(resume);
  ASSERT_TRUE(resumed.ok()) << resumed.status().ToString();
  EXPECT_EQ(resumed->state(), v1::Job::QUEUED);
  EXPECT_FALSE(resumed->has_ended());
  ASSERT_TRUE(cluster_.RunUntil([&] {
    auto* trainer = cluster_.Trainer(id + "-g2-r0");
    return trainer != nullptr && trainer->task && trainer->task->has_train();
  }));
  EXPECT_EQ(cluster_.Trainer(id + "-g2-r0")->resumed_from, 5u);
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_FALSE(cluster_.controller().Resume(resume).ok());
}

TEST_F(ControllerFailureTest, AWorkerThatCannotStartTrainersIsAvoidedAndNotHeldAgainstTheJob) {
  cluster_.AddWorker("a", 1);
  cluster_.AddWorker("b", 2);
  cluster_.broken_nodes = {"a"};  // the tightest fit
  const std::string id = cluster_.Submit(1, 5);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED, 20));
  v1::Job job = cluster_.Job(id);
  EXPECT_EQ(job.restarts(), 0u);
  EXPECT_EQ(job.generation(), 2u);
  EXPECT_EQ(cluster_.lost_told["not_started"], 1);
}

TEST_F(ControllerFailureTest, LossesWithoutACheckpointBetweenPauseTheJob) {
  cluster_.AddWorker("a", 1);
  cluster_.broken_nodes = {"a"};
  const std::string id = cluster_.Submit(1, 5);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::PAUSED, 600));
  EXPECT_THAT(cluster_.Job(id).reason(), HasSubstr("no such program"));
  EXPECT_EQ(cluster_.lost_told["not_started"], 11);
  cluster_.broken_nodes.clear();
  v1::ResumeJobRequest resume;
  resume.set_id(id);
  ASSERT_TRUE(cluster_.controller().Resume(resume).ok());
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerFailureTest, ANodeThatSaysItIsNotReadyGetsNoWork) {
  cluster_.AddWorker("a", 1);
  cluster_.troubled_nodes["a"] = "/srv/attune is not mounted";
  cluster_.Step();
  cluster_.Step();
  EXPECT_EQ(cluster_.controller().Nodes()[0].state(), v1::Node::NOT_READY);
  EXPECT_EQ(cluster_.controller().Nodes()[0].not_ready(), "/srv/attune is not mounted");
  const std::string id = cluster_.Submit(1, 5);
  EXPECT_FALSE(cluster_.RunUntil([&] { return cluster_.Job(id).generation() > 0; }, 20));
  auto why = cluster_.controller().Explain(id);
  ASSERT_TRUE(why.ok());
  EXPECT_THAT(why->reasons(), testing::Contains(HasSubstr("/srv/attune is not mounted")));
  cluster_.troubled_nodes.clear();
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerFailureTest, AHostThatDoesNotSeeTheStorageCostsOneTry) {
  cluster_.AddWorker("a", 1);
  cluster_.AddWorker("b", 2);
  const std::string id = cluster_.Submit(1, 4);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Trainer(id + "-g1-r0") != nullptr; }));
  EXPECT_EQ(cluster_.Trainer(id + "-g1-r0")->node, "a");
  cluster_.steps_flow = false;
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Trainer(id + "-g1-r0")->task.has_value(); }));
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::STORAGE, "there is no /srv/models/tiny/1");
  cluster_.steps_flow = true;
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_THAT(cluster_.Job(id).avoided_nodes(), testing::ElementsAre("a"));
  EXPECT_EQ(cluster_.Job(id).failures_in_row(), 0u);
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

// What the workers said meanwhile is unread, so it is no silence of theirs.
TEST_F(ControllerFailureTest, ACoordinatorThatStoodStillBlamesNobody) {
  const std::string id = RunToStepSeven();
  for (int i = 0; i < 3; ++i) {
    cluster_.next_commit_takes = std::chrono::seconds(40);
    const uint32_t step = cluster_.Job(id).step();
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() > step + 2; }, 5));
  }
  EXPECT_EQ(cluster_.Job(id).incidents_size(), 0);
  EXPECT_NEAR(cluster_.seconds_late, 3 * 38, 1);
  cluster_.KillWorker("b");
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).incidents_size() == 1; }, 12));
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

TEST_F(ControllerFailureTest, AStorageThatIsAwayWhileRegisteringIsWaitedFor) {
  cluster_.AddWorker("a", 1);
  cluster_.registering_fails = Internal("read model.safetensors: Stale file handle");
  const std::string id = cluster_.Submit(1, 5);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.registering_tried == 4; }));
  EXPECT_EQ(cluster_.Job(id).reason(), "registers the model");
  cluster_.registering_fails = Status();
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED, 20));
  EXPECT_EQ(cluster_.Job(id).generation(), 1u);
  EXPECT_EQ(cluster_.registering_tried, 5);
}

TEST_F(ControllerFailureTest, AnOutputThatCannotBeRegisteredIsKeptAndSaysHowToImportIt) {
  cluster_.AddWorker("a", 1);
  cluster_.registering_fails = Internal("read model.safetensors: Input/output error");
  const std::string id = cluster_.Submit(1, 5);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::FAILED, 1500));
  EXPECT_EQ(cluster_.registering_tried, 21);
  EXPECT_THAT(cluster_.Job(id).reason(), HasSubstr("attune model import tune "));
  EXPECT_THAT(cluster_.Job(id).reason(), HasSubstr("runs/" + id + "/output --base tiny@1"));
}

class OutputFailureTest : public ControllerFailureTest {
 protected:
  // A job with two lines of output, for which there is a file (or folder) of the caller's already.
  std::string SubmitGenerate() {
    cluster_.AddWorker("a", 1);
    const std::string id = cluster_.SubmitGenerate().id();
    std::filesystem::create_directories(cluster_.OutputFile(id).parent_path());
    return id;
  }
};

TEST_F(OutputFailureTest, AFullDiskPauses) {
  const std::string id = SubmitGenerate();
  cluster_.free_bytes = 1 << 20;
  std::filesystem::create_symlink("/dev/full", cluster_.OutputFile(id));
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::PAUSED, 20)) << cluster_.Job(id).DebugString();
  EXPECT_THAT(cluster_.Job(id).reason(), HasSubstr("no space on the storage: the output"));
  std::filesystem::remove(cluster_.OutputFile(id));
  cluster_.free_bytes = 1 << 30;
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Output(id), "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n");
}

TEST_F(OutputFailureTest, AStorageThatDoesNotTakeItEndsTheAttemptAfterAWhile) {
  const std::string id = SubmitGenerate();
  std::filesystem::create_directory(cluster_.OutputFile(id));  // cannot be opened for writing
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.lost_told["storage"] == 1; }, 70));
  EXPECT_THAT(cluster_.Job(id).incidents(0).cause(), HasSubstr("the output was not written"));
  std::filesystem::remove(cluster_.OutputFile(id));
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
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

TEST_F(ControllerFailureTest, APauseWithoutItsCheckpointSaysSo) {
  const std::string id = RunToStepSeven();
  cluster_.steps_flow = false;
  v1::PauseJobRequest pause;
  pause.set_id(id);
  ASSERT_TRUE(cluster_.controller().Pause(pause).ok());
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::PAUSED, 125));
  EXPECT_EQ(cluster_.Job(id).reason(),
            "paused by the user, without a new checkpoint (rank 0 said nothing of its step or its "
            "checkpoint for 120 seconds, see pause_timeout of the coordinator); resumes from step "
            "5");
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
