// An update's way from its trigger to a verdict.

#include "coordinator/retraining/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/unit/coordinator/retraining/fake_world.h"

namespace attune::retraining {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> EventTypes(const v1::Update& update) {
  std::vector<std::string> types;
  for (const auto& event : update.events()) types.push_back(event.type());
  return types;
}

TEST(ControllerTest, FirstPromotionWithoutAChampion) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::PROMOTED);
  v1::Update update = world.Update(world.Updates()[0].id());
  EXPECT_EQ(world.Champion(), 1u);
  EXPECT_EQ(update.candidate(), "tuned@1");
  EXPECT_EQ(update.champion(), "");
  EXPECT_THAT(update.datasets(), ElementsAre("weekly-data@1", "old@1"));
  EXPECT_EQ(update.first_window(), 1u);
  EXPECT_EQ(update.evaluation_job_ids_size(), 1);
  EXPECT_DOUBLE_EQ(update.gpu_hours(), 1.0);  // half an hour each of training and evaluation
  EXPECT_EQ(update.reason(), "all gates passed");
  EXPECT_THAT(EventTypes(update),
              ElementsAre("triggered", "started", "windows", "composed", "training", "trained",
                          "suites", "evaluating", "evaluated", "promoted", "tidied_up"));
  auto trained = world.jobs.OfKind(v1::Job::TRAIN);
  ASSERT_EQ(trained.size(), 1u);
  const v1::JobSpec& spec = trained[0].spec();
  EXPECT_EQ(spec.base(), "smollm2");
  ASSERT_EQ(spec.datasets_size(), 2);
  EXPECT_EQ(spec.datasets(0).name(), "weekly-data@1");
  EXPECT_EQ(spec.datasets(1).share(), 0.3);
  EXPECT_EQ(spec.train().seed(), 1u);
  EXPECT_EQ(spec.register_().model(), "tuned");
  EXPECT_EQ(trained[0].update(), update.id());
}

TEST(ControllerTest, FactsAreKeptWholeWithProofsBackToTheImports) {
  World world;
  world.SetChampion(1);  // of smollm2@1, trained on docs@1
  world.datasets.train_ids["docs@1"] = {std::string(32, 'a')};
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::WATCHING);
  ASSERT_EQ(world.decided.size(), 1u);
  const v1::GateFacts& facts = world.decided[0];
  EXPECT_EQ(facts.candidate().model(), "tuned@2");
  EXPECT_EQ(facts.champion().model(), "tuned@1");
  ASSERT_EQ(facts.proofs_size(), 2);
  EXPECT_EQ(facts.proofs(0).suite(), "goal");
  EXPECT_THAT(facts.proofs(0).trained_on(), ElementsAre("docs@1", "old@1", "weekly-data@1"));
  EXPECT_THAT(facts.proofs(0).seen_ids(), ElementsAre(std::string(32, 'a')));
  v1::Update update = world.Updates()[0];
  auto bytes = ReadFile(world.folder.path() / "gates" / (update.id() + ".facts"));
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(Sha256Hex(*bytes), update.report().facts_checksum());
  v1::GateFacts stored;
  ASSERT_TRUE(stored.ParseFromString(*bytes));
  EXPECT_EQ(stored.SerializeAsString(), facts.SerializeAsString());
}

TEST(ControllerTest, TrainsFromTheChampionOnNewWindowsOnly) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::PROMOTED);
  world.live.waiting = 150;
  world.clock.Advance(hours(24));
  world.RunTo(v1::Update::WATCHING);
  v1::Update update = world.Updates()[0];
  EXPECT_EQ(update.champion(), "tuned@1");
  EXPECT_EQ(update.first_window(), 2u);
  EXPECT_THAT(world.datasets.composed[update.datasets(0)], ElementsAre("live@2"));
  EXPECT_EQ(world.jobs.Get(update.job_id())->spec().base(), "tuned@1");
  EXPECT_EQ(world.Champion(), 2u);
}

TEST(ControllerTest, WindowsOfACandidateThatWasKeptAreTrainedOnAgain) {
  World world;
  world.verdict = v1::GateReport::FAILED;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::KEPT);
  EXPECT_EQ(world.Champion(), 0u);
  EXPECT_EQ(world.Updates()[0].reason(), "goal: too high");
  EXPECT_EQ(world.Count("reports"), 1);
  world.live.waiting = 150;
  world.clock.Advance(hours(24));
  world.RunTo(v1::Update::KEPT);
  EXPECT_THAT(world.datasets.composed[world.Updates()[0].datasets(0)],
              ElementsAre("live@1", "live@2"));
}

TEST(ControllerTest, NothingNewIsSkippedWithTheReason) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::SKIPPED);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("has no new trainable example"));
  EXPECT_EQ(world.jobs.jobs.size(), 0u);
}

TEST(ControllerTest, WithoutAStreamTheNewestVersionAndNotTwice) {
  World world;
  ASSERT_TRUE(world.Apply("trigger: {cron: \"0 3 * * *\", new_examples: 100}\n").ok());
  world.datasets.Add("docs", 700, 100);
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_THAT(world.Updates()[0].datasets(), ElementsAre("docs@2"));
  world.clock.Advance(hours(24));
  world.RunTo(v1::Update::SKIPPED);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("nothing is new: docs@2 is what update-"));
  world.datasets.Add("docs", 750, 140);  // 90 more
  world.controller->Tick();
  EXPECT_EQ(world.Updates().size(), 2u);
  world.datasets.Add("docs", 760, 140);
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_EQ(world.Updates()[0].trigger(), "new_examples");
  EXPECT_THAT(world.Updates()[0].datasets(), ElementsAre("docs@4"));
}

TEST(ControllerTest, AFailedJobFailsTheUpdateWithItsReason) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.controller->Tick();
  world.controller->Tick();
  world.jobs.FinishAll(v1::Job::FAILED, world.clock.Now(), 0.5);
  world.RunTo(v1::Update::FAILED);
  EXPECT_EQ(world.Updates()[0].reason(), "job-1 failed: out of memory");
  EXPECT_DOUBLE_EQ(world.Updates()[0].gpu_hours(), 0.5);
}

TEST(ControllerTest, AnOutputThatIsAwayIsTriedAgain) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.jobs.refuse_output = NotFound("output.jsonl is not there");
  world.RunTo(v1::Update::DECIDING);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("output.jsonl is not there"));
  world.clock.Advance(hours(20));
  world.controller->Tick();
  world.jobs.refuse_output = Status();
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_FALSE(world.Updates()[0].has_trouble_since());
}

TEST(ControllerTest, TroubleForADayFailsTheUpdate) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.jobs.refuse_output = Internal("disk I/O error");
  world.RunTo(v1::Update::DECIDING);
  world.clock.Advance(hours(23));
  world.controller->Tick();
  ASSERT_EQ(world.Updates()[0].state(), v1::Update::DECIDING);
  world.clock.Advance(hours(1));
  world.controller->Tick();
  for (const v1::Update& update : world.Updates()) {
    if (update.trigger_detail().find("2026-11-30") == std::string::npos) continue;
    EXPECT_EQ(update.state(), v1::Update::FAILED);
    EXPECT_THAT(update.reason(), HasSubstr("disk I/O error (tried again for 24 hours)"));
  }
}

TEST(ControllerTest, TroubleThatPassedDoesNotCountLater) {
  World world;
  ASSERT_TRUE(world.Apply("trigger: {drift: true}\ndata: {observe: live}\n").ok());
  jobs::SetTimestamp(world.live.stream.mutable_alarm_since(), world.clock.Now());
  world.live.waiting = 300;
  world.controller->Tick();
  world.controller->Tick();
  ASSERT_EQ(world.Updates()[0].state(), v1::Update::TRAINING);
  for (int i = 0; i < 2; ++i) {
    world.jobs.refuse_get = Internal("disk I/O error");
    world.controller->Tick();
    EXPECT_EQ(world.Updates()[0].reason(), "disk I/O error");
    world.jobs.refuse_get = Status();
    world.controller->Tick();
    EXPECT_EQ(world.Updates()[0].reason(), "goes on after: disk I/O error");
    world.clock.Advance(hours(30));
  }
  EXPECT_EQ(world.Updates()[0].state(), v1::Update::TRAINING);
}

TEST(ControllerTest, ManualPromotionIsLeftToAPerson) {
  World world;
  auto spec = world.Apply(kStream);
  ASSERT_TRUE(spec.ok());
  v1::ApplyScheduleRequest request;
  *request.mutable_spec() = spec->spec();
  request.mutable_spec()->mutable_promote()->set_manual(true);
  ASSERT_TRUE(world.controller->Apply(request).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::KEPT);
  EXPECT_EQ(world.Champion(), 0u);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("attune model promote tuned@1"));
}

TEST(ControllerTest, ChampionThatMovedIsComparedWithAgain) {
  World world;
  world.SetChampion(1);
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  auto decide = world.ports.decide;
  int moved = 0;
  world.ports.decide = [&](const v1::GateFacts& facts) {
    if (moved++ == 0) world.SetChampion(3);  // by a person, in the last moment
    return decide(facts);
  };
  world.Restart();
  world.RunTo(v1::Update::WATCHING);
  ASSERT_EQ(world.decided.size(), 2u);
  EXPECT_EQ(world.decided[0].champion().model(), "tuned@1");
  EXPECT_EQ(world.decided[1].champion().model(), "tuned@3");
  EXPECT_EQ(world.jobs.OfKind(v1::Job::TRAIN).size(), 1u);
  EXPECT_EQ(world.jobs.OfKind(v1::Job::EVALUATE).size(), 3u);  // the candidate's is taken again
}

TEST(ControllerTest, HoursOfJobsThatWereCancelledCount) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::TRAINING);
  v1::Job& job = world.jobs.jobs.begin()->second;
  jobs::SetTimestamp(job.mutable_started(), world.clock.Now() - hours(2));
  jobs::SetTimestamp(job.mutable_ended(), world.clock.Now());
  v1::CancelUpdateRequest request;
  request.set_request_id("r1");
  request.set_id(world.Updates()[0].id());
  ASSERT_TRUE(world.controller->CancelUpdate(request).ok());
  world.controller->Tick();
  EXPECT_DOUBLE_EQ(world.Updates()[0].gpu_hours(), 2);
}

TEST(ControllerTest, ExcludedWindowsAreNotTrainedOn) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  for (int i = 0; i < 4; ++i) {
    world.live.waiting = 100;
    world.live.Close();
  }
  world.live.windows[1].set_excluded(true);
  world.live.windows[3].set_excluded(true);
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::PROMOTED);
  v1::Update update = world.Update(world.Updates()[0].id());
  EXPECT_THAT(world.datasets.composed[update.datasets(0)], ElementsAre("live@1", "live@3"));
  EXPECT_EQ(update.last_window(), 3u);
  EXPECT_THAT(update.excluded_windows(), ElementsAre(2));
  EXPECT_EQ(update.events(2).message(),
            "windows 1 to 3 of live, without 2: 200 trainable examples");
  // Included again, the one after the last is new to the champion.
  world.live.windows[3].set_excluded(false);
  world.clock.Advance(hours(24));
  world.RunTo(v1::Update::WATCHING);
  EXPECT_THAT(world.datasets.composed[world.Updates()[0].datasets(0)], ElementsAre("live@4"));
}

TEST(ControllerTest, WhatIsExcludedAfterTheChoiceIsComposedAllTheSame) {
  World world;
  int commits = 0;
  world.ports.after_commit = [&] { return ++commits < 3; };  // fired, started, windows chosen
  world.Restart();
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 100;
  world.live.Close();
  world.live.waiting = 100;
  world.clock.Advance(hours(3));
  world.controller->Tick();
  world.controller->Tick();
  ASSERT_EQ(world.Updates()[0].last_window(), 2u);
  ASSERT_EQ(world.Updates()[0].datasets_size(), 0);
  world.live.windows[0].set_excluded(true);
  world.ports.after_commit = {};
  world.Restart();
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_THAT(world.datasets.composed[world.Updates()[0].datasets(0)],
              ElementsAre("live@1", "live@2"));
}

TEST(ControllerTest, WhenAllThatIsNewIsExcludedNothingIsTrained) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.live.Close();
  world.live.windows[0].set_excluded(true);
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::SKIPPED);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("besides 1 excluded window"));
}

TEST(ControllerTest, WhatJobsWroteGoesWhenTheUpdateHasEnded) {
  World world;
  world.SetChampion(1);
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.verdict = v1::GateReport::FAILED;
  world.ports.after_commit = [&] { return world.Updates()[0].state() != v1::Update::KEPT; };
  world.Restart();
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::KEPT);
  EXPECT_TRUE(world.jobs.removed.empty()) << "it died right before";
  world.ports.after_commit = {};
  world.Restart();
  world.controller->Tick();
  const v1::Update update = world.Updates()[0];
  EXPECT_EQ(update.state(), v1::Update::KEPT);
  ASSERT_EQ(update.evaluation_job_ids_size(), 2);
  for (const std::string& job : update.evaluation_job_ids()) {
    EXPECT_TRUE(world.jobs.removed.contains(job)) << job;
  }
}

TEST(ControllerTest, CancelEndsItsJobs) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.controller->Tick();
  world.controller->Tick();
  v1::CancelUpdateRequest request;
  request.set_request_id("r1");
  request.set_id(world.Updates()[0].id());
  auto cancelled = world.controller->CancelUpdate(request);
  ASSERT_TRUE(cancelled.ok()) << cancelled.status().message();
  EXPECT_EQ(cancelled->state(), v1::Update::CANCELLED);
  world.controller->Tick();
  EXPECT_EQ(world.jobs.OfKind(v1::Job::TRAIN)[0].state(), v1::Job::CANCELLED);
  EXPECT_EQ(world.controller->CancelUpdate(request)->state(), v1::Update::CANCELLED);
  request.set_request_id("r2");
  EXPECT_EQ(world.controller->CancelUpdate(request).status().code(),
            StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace attune::retraining
