#include "coordinator/retraining/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "coordinator/retraining/repository.h"
#include "tests/unit/coordinator/retraining/fake_world.h"

namespace attune::retraining {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kStream =
    "trigger: {cron: \"0 3 * * *\"}\n"
    "data: {observe: live, replay: {dataset: old, share: 0.3}}\n"
    "gates: {retention: [{name: old-skill, dataset: old}]}\n";

std::vector<std::string> EventTypes(const v1::Update& update) {
  std::vector<std::string> types;
  for (const auto& event : update.events()) types.push_back(event.type());
  return types;
}

TEST(ControllerTest, ASlotFiresOnce) {
  World world;
  ASSERT_TRUE(world.Apply("trigger: {cron: \"0 3 * * *\"}\n").ok());
  world.clock.Advance(hours(3) - seconds(1));
  world.controller->Tick();
  EXPECT_EQ(world.Updates().size(), 0u);
  world.clock.Advance(seconds(1));
  world.controller->Tick();
  world.controller->Tick();
  world.Restart();
  world.controller->Tick();
  ASSERT_EQ(world.Updates().size(), 1u);
  EXPECT_EQ(world.Updates()[0].trigger(), "cron");
  EXPECT_THAT(world.Updates()[0].trigger_detail(), HasSubstr("2026-11-30 03:00:00 UTC"));
  EXPECT_EQ(world.Count("slots"), 1);
}

TEST(ControllerTest, ASlotThatComesAgainFiresNotAgain) {
  World world;
  ASSERT_TRUE(world.Apply("trigger: {cron: \"0 3 * * *\"}\n").ok());
  world.clock.Advance(hours(3));
  world.controller->Tick();
  world.clock.Advance(-minutes(10));  // the clock is set back, and the schedule is changed
  ASSERT_TRUE(world.Apply("trigger: {cron: \"0 3,4 * * *\"}\n").ok());
  world.clock.Advance(minutes(10));
  world.controller->Tick();
  EXPECT_EQ(world.Updates().size(), 1u);
  EXPECT_EQ(world.Count("slots"), 1);
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
                          "suites", "evaluating", "evaluated", "promoted"));
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

TEST(ControllerTest, LimitsMakeItWaitAndSayWhy) {
  World world;
  ASSERT_TRUE(
      world.Apply(std::string(kStream) + "limits: {cool_down: 30h, gpu_hours_per_week: 20}\n")
          .ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::PROMOTED);
  world.live.waiting = 300;
  world.clock.Advance(hours(24));
  world.controller->Tick();
  world.controller->Tick();
  v1::Update update = world.Updates()[0];
  EXPECT_EQ(update.state(), v1::Update::WAITING);
  EXPECT_THAT(update.reason(), HasSubstr("cools down until 2026-12-01 09:00:00 UTC"));
  EXPECT_EQ(world.Weekly()->state(), "waiting");
  world.clock.Advance(hours(6));
  world.RunTo(v1::Update::WATCHING);
}

TEST(ControllerTest, ASlotWhileAnUpdateRunsIsSkipped) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.controller->Tick();
  world.controller->Tick();
  world.clock.Advance(hours(24));
  world.controller->Tick();
  world.controller->Tick();
  auto updates = world.Updates();
  ASSERT_EQ(updates.size(), 2u);
  EXPECT_EQ(updates[0].state(), v1::Update::SKIPPED);
  EXPECT_THAT(updates[0].reason(), HasSubstr(updates[1].id() + " is TRAINING"));
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

// An update that is watched, with version 2 as the candidate.
void StartWatch(World* world) {
  world->SetChampion(1);
  ASSERT_TRUE(world->Apply(kStream).ok());
  world->live.waiting = 300;
  world->clock.Advance(hours(3));
  world->RunTo(v1::Update::WATCHING);
  ASSERT_EQ(world->Champion(), 2u);
}

TEST(ControllerTest, WatchEndsWellAfterItsWindows) {
  World world;
  StartWatch(&world);
  EXPECT_EQ(world.Weekly()->state(), "watching");
  for (int i = 0; i < 2; ++i) {
    world.live.waiting = 30;
    world.live.Close();
    world.controller->Tick();
    world.jobs.FinishAll(v1::Job::SUCCEEDED, world.clock.Now(), 0.1);
    world.controller->Tick();
  }
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_EQ(world.Champion(), 2u);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("2 windows of live data were watched"));
}

TEST(ControllerTest, AWatchLooksUpWhatWasTrainedOn) {
  World world;
  StartWatch(&world);
  world.datasets.train_ids["weekly-data@1"] = {std::string(32, 'b')};
  world.live.waiting = 30;
  world.live.Close();
  world.controller->Tick();
  world.jobs.FinishAll(v1::Job::SUCCEEDED, world.clock.Now(), 0.1);
  world.controller->Tick();
  const v1::GateFacts& facts = world.decided.back();
  ASSERT_EQ(facts.proofs_size(), 1);
  EXPECT_EQ(facts.proofs(0).suite(), "live");
  EXPECT_EQ(facts.proofs(0).dataset(), "live@2");
  EXPECT_THAT(facts.proofs(0).trained_on(), ElementsAre("docs@1", "old@1", "weekly-data@1"));
  EXPECT_THAT(facts.proofs(0).seen_ids(), ElementsAre(std::string(32, 'b')));
}

TEST(ControllerTest, WorseOnLiveDataGoesBack) {
  World world;
  StartWatch(&world);
  world.worse_by = 0.3;
  world.live.waiting = 30;
  world.live.Close();
  world.RunTo(v1::Update::ROLLED_BACK);
  EXPECT_EQ(world.Champion(), 1u);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("a difference of 0.3 (0.29 to 0.31)"));
}

TEST(ControllerTest, AWatchThatBreaksOffEndsItsJobs) {
  World world;
  StartWatch(&world);
  world.live.waiting = 30;
  world.live.Close();
  world.controller->Tick();
  world.jobs.refuse_get = InvalidArgument("no");
  world.controller->Tick();
  world.jobs.refuse_get = Status();
  world.controller->Tick();
  EXPECT_EQ(world.Updates()[0].state(), v1::Update::PROMOTED);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("not watched to the end: no"));
  auto jobs = world.jobs.OfKind(v1::Job::EVALUATE);
  ASSERT_EQ(jobs.size(), 4u);
  int cancelled = 0;
  for (const v1::Job& job : jobs) cancelled += job.state() == v1::Job::CANCELLED;
  EXPECT_EQ(cancelled, 2);
}

TEST(ControllerTest, ModelsOfAnOpenUpdateAreInUse) {
  World world;
  StartWatch(&world);
  const auto in_use = [&] {
    std::map<std::string, std::string> models;
    EXPECT_TRUE(world.database
                    ->Read([&](Transaction& transaction) {
                      models = ModelsInUse(transaction);
                      return Status();
                    })
                    .ok());
    return models;
  };
  const std::string by = world.Updates()[0].id() + " is WATCHING";
  EXPECT_THAT(in_use(), ElementsAre(std::pair<const std::string, std::string>("tuned@1", by),
                                    std::pair<const std::string, std::string>("tuned@2", by)));
  world.SetChampion(1);
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_TRUE(in_use().empty());
}

TEST(ControllerTest, WatchEndsAfterItsWindowsWhateverTheySaid) {
  World world;
  StartWatch(&world);
  for (int i = 0; i < 2; ++i) {
    world.live.waiting = 30;
    world.live.Close();
    world.controller->Tick();
    world.jobs.FinishAll(v1::Job::FAILED, world.clock.Now(), 0.25);
    world.controller->Tick();
  }
  ASSERT_EQ(world.Updates()[0].state(), v1::Update::PROMOTED);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("none could be compared"));
  // Training and two evaluations of half an hour, four that failed after a quarter.
  EXPECT_DOUBLE_EQ(world.Updates()[0].gpu_hours(), 2.5);
}

TEST(ControllerTest, WatchEndsAfterTwoWeeksWithoutLiveData) {
  World world;
  ASSERT_NO_FATAL_FAILURE(StartWatch(&world));
  const std::string id = world.Updates()[0].id();
  world.clock.Advance(hours(14 * 24 - 1));
  world.controller->Tick();
  EXPECT_EQ(world.Update(id).state(), v1::Update::WATCHING);
  world.clock.Advance(hours(1));
  world.controller->Tick();
  EXPECT_EQ(world.Update(id).state(), v1::Update::PROMOTED);
  EXPECT_THAT(world.Update(id).reason(), HasSubstr("the watch ends after 14 days: 0 windows"));
}

TEST(ControllerTest, AWatchedUpdateCountsFromItsPromotion) {
  World world;
  world.SetChampion(1);
  ASSERT_TRUE(
      world.Apply(std::string(kStream) + "limits: {cool_down: 30h, gpu_hours_per_week: 20}\n")
          .ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::WATCHING);
  const std::string id = world.Updates()[0].id();
  EXPECT_DOUBLE_EQ(world.Weekly()->gpu_hours_this_week(), 1.5);
  world.clock.Advance(hours(24));
  world.controller->Tick();
  world.controller->Tick();
  EXPECT_EQ(world.Update(id).state(), v1::Update::WATCHING);
  EXPECT_EQ(world.Updates()[0].reason(), "cools down until 2026-12-01 09:00:00 UTC after " + id);
  world.clock.Advance(hours(6 * 24));
  EXPECT_DOUBLE_EQ(world.Weekly()->gpu_hours_this_week(), 0);
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

TEST(ControllerTest, WatchEndsWhenTheAliasMovesOn) {
  World world;
  StartWatch(&world);
  world.SetChampion(1);
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_EQ(world.Updates()[0].reason(),
            "the alias champion was moved to tuned@1 by user:ann meanwhile; it was watched on 0 "
            "windows of live data");
}

TEST(ControllerTest, WatchEndsWhenTheAliasWasMovedAwayAndBack) {
  World world;
  StartWatch(&world);
  world.live.waiting = 30;
  world.live.Close();
  world.controller->Tick();
  world.SetChampion(3);
  world.SetChampion(2);
  world.controller->Tick();
  world.controller->Tick();
  v1::Update update = world.Updates()[0];
  EXPECT_EQ(update.state(), v1::Update::PROMOTED);
  EXPECT_THAT(update.reason(), HasSubstr("was moved to tuned@2 by user:ann meanwhile"));
  EXPECT_EQ(world.Champion(), 2u);
  // What was to compare them compares no more.
  for (const v1::Job& job : world.jobs.OfKind(v1::Job::EVALUATE)) {
    EXPECT_NE(job.state(), v1::Job::QUEUED) << job.id();
  }
}

TEST(ControllerTest, ARollbackThatIsRefusedIsNotAskedForAgain) {
  World world;
  StartWatch(&world);
  auto decide = world.ports.decide;
  int asked = 0;
  world.ports.decide = [&](const v1::GateFacts& facts) {
    ++asked;
    world.SetChampion(3);  // by a person, in the last moment
    world.SetChampion(2);
    return decide(facts);
  };
  world.Restart();
  world.worse_by = 0.3;
  world.live.waiting = 30;
  world.live.Close();
  world.RunTo(v1::Update::PROMOTED);
  world.controller->Tick();
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(world.Champion(), 2u);
  v1::Update update = world.Updates()[0];
  EXPECT_THAT(update.reason(), HasSubstr("worse on live data in window 2"));
  EXPECT_THAT(update.reason(),
              HasSubstr("not rolled back: the alias champion was moved to tuned@2 by user:ann"));
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

TEST(ControllerTest, ExcludedWindowsAreNotWatched) {
  World world;
  StartWatch(&world);
  world.worse_by = 0.3;
  for (int i = 0; i < 2; ++i) {
    world.live.waiting = 30;
    world.live.Close();
  }
  world.live.windows[1].set_excluded(true);
  world.controller->Tick();
  EXPECT_EQ(world.jobs.OfKind(v1::Job::EVALUATE).back().task().evaluate().suites(0).dataset(),
            "live@3");
  world.live.windows[2].set_excluded(true);  // while it is measured
  world.live.windows[2].set_excluded_reason("poisoned");
  world.jobs.FinishAll(v1::Job::SUCCEEDED, world.clock.Now(), 0.1);
  world.controller->Tick();
  v1::Update update = world.Update(world.Updates()[0].id());
  EXPECT_EQ(update.state(), v1::Update::WATCHING);
  EXPECT_EQ(world.Champion(), 2u);
  EXPECT_EQ(EventTypes(update).back(), "not_compared");
  EXPECT_EQ(update.events().rbegin()->message(), "window 3: it was excluded: poisoned");
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

TEST(ControllerTest, DriftAsksOnce) {
  World world;
  ASSERT_TRUE(world.Apply("trigger: {drift: true}\ndata: {observe: live}\n").ok());
  world.live.waiting = 300;
  world.controller->Tick();
  EXPECT_EQ(world.Updates().size(), 0u);
  jobs::SetTimestamp(world.live.stream.mutable_alarm_since(), world.clock.Now());
  world.live.stream.set_reason("embeddings moved: AUC 0.91");
  world.clock.Advance(seconds(1));
  world.RunTo(v1::Update::PROMOTED);
  for (int i = 0; i < 5; ++i) world.controller->Tick();
  ASSERT_EQ(world.Updates().size(), 1u);
  EXPECT_EQ(world.Updates()[0].trigger(), "drift");
  EXPECT_EQ(world.Updates()[0].trigger_detail(), "embeddings moved: AUC 0.91");
}

// A schedule whose stream has an alarm, and 300 rows in the open window.
void StartAlarm(World* world, const std::string& triggers) {
  ASSERT_TRUE(world->Apply("trigger: {" + triggers + "}\ndata: {observe: live}\n").ok());
  jobs::SetTimestamp(world->live.stream.mutable_alarm_since(), world->clock.Now());
  world->clock.Advance(seconds(1));
}

TEST(ControllerTest, DriftAsksNotAgainAfterASkippedUpdate) {
  World world;
  StartAlarm(&world, "drift: true");
  world.RunTo(v1::Update::SKIPPED);  // there are no rows
  for (int i = 0; i < 5; ++i) {
    world.clock.Advance(seconds(1));
    world.controller->Tick();
  }
  EXPECT_EQ(world.Updates().size(), 1u);
  jobs::SetTimestamp(world.live.stream.mutable_alarm_since(), world.clock.Now());
  world.controller->Tick();
  EXPECT_EQ(world.Updates().size(), 2u);
}

TEST(ControllerTest, DriftAsksNotAgainAfterACancelledUpdateAndCutsNoWindow) {
  World world;
  StartAlarm(&world, "drift: true");
  world.controller->Tick();
  v1::CancelUpdateRequest request;
  request.set_request_id("r1");
  request.set_id(world.Updates()[0].id());
  ASSERT_TRUE(world.controller->CancelUpdate(request).ok());
  world.live.waiting = 300;
  for (int i = 0; i < 5; ++i) {
    world.clock.Advance(seconds(1));
    world.controller->Tick();
  }
  EXPECT_EQ(world.Updates().size(), 1u);
  EXPECT_EQ(world.live.windows.size(), 0u);
}

TEST(ControllerTest, NewExamplesAskNotAgainAfterAnUpdateThatFailedBeforeItChose) {
  World world;
  StartAlarm(&world, "new_examples: 100");
  world.live.waiting = 300;
  world.live.Close();
  world.live.refuse_close = InvalidArgument("no");
  world.RunTo(v1::Update::FAILED);
  for (int i = 0; i < 5; ++i) world.controller->Tick();
  EXPECT_EQ(world.Updates().size(), 1u);
  world.live.refuse_close = Status();
  world.live.waiting = 99;
  world.live.Close();
  world.controller->Tick();
  EXPECT_EQ(world.Updates().size(), 1u);
  world.live.waiting = 1;
  world.live.Close();
  world.RunTo(v1::Update::PROMOTED);  // on all of them
  EXPECT_EQ(world.Updates()[0].first_window(), 1u);
  EXPECT_EQ(world.Updates().size(), 2u);
}

// A slot that is skipped because an update runs takes no alarm away.
TEST(ControllerTest, AnAlarmWhileAnUpdateRunsAsksAfterIt) {
  World world;
  StartAlarm(&world, "drift: true, cron: \"0 * * * *\"");
  world.live.waiting = 300;
  world.controller->Tick();
  world.controller->Tick();
  world.clock.Advance(minutes(61));
  jobs::SetTimestamp(world.live.stream.mutable_alarm_since(), world.clock.Now());
  world.controller->Tick();
  world.controller->Tick();
  ASSERT_EQ(world.Updates().size(), 2u);
  ASSERT_EQ(world.Updates()[0].state(), v1::Update::SKIPPED);
  for (int i = 0; i < 10 && world.Updates().size() == 2; ++i) {
    world.jobs.FinishAll(v1::Job::SUCCEEDED, world.clock.Now(), 0.5);
    world.controller->Tick();
  }
  ASSERT_EQ(world.Updates().size(), 3u);
  EXPECT_EQ(world.Updates()[0].trigger(), "drift");
}

TEST(ControllerTest, WindowsOfAnotherStreamOfTheNameCountFromOne) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  for (int i = 0; i < 3; ++i) {
    world.live.waiting = 100;
    world.live.Close();
  }
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_EQ(world.Updates()[0].last_window(), 3u);
  world.live.windows.clear();  // deleted and made again
  jobs::SetTimestamp(world.live.stream.mutable_created(), world.clock.Now());
  world.live.waiting = 300;
  world.clock.Advance(hours(24));
  world.RunTo(v1::Update::WATCHING);
  EXPECT_EQ(world.Updates()[0].first_window(), 1u);
}

TEST(ControllerTest, PausedSchedulesDoNothingAndMissTheirSlots) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  v1::PauseScheduleRequest pause;
  pause.set_name("weekly");
  pause.set_reason("holidays");
  EXPECT_EQ(world.controller->Pause(pause)->state(), "paused");
  world.clock.Advance(hours(30));
  world.controller->Tick();
  v1::ResumeScheduleRequest resume;
  resume.set_name("weekly");
  EXPECT_EQ(world.controller->Resume(resume)->state(), "idle");
  world.controller->Tick();
  EXPECT_EQ(world.Updates().size(), 0u);
}

TEST(ControllerTest, TriggerIsRefusedWhileAnUpdateRuns) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  v1::TriggerScheduleRequest request;
  request.set_request_id("t1");
  request.set_name("weekly");
  auto first = world.controller->Trigger(request);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->trigger(), "manual");
  EXPECT_EQ(world.controller->Trigger(request)->id(), first->id());
  request.set_request_id("t2");
  EXPECT_EQ(world.controller->Trigger(request).status().code(), StatusCode::kFailedPrecondition);
  request.set_name("other");
  EXPECT_EQ(world.controller->Trigger(request).status().code(), StatusCode::kNotFound);
}

TEST(ControllerTest, NextFiringsSayWhatWouldKeepThem) {
  World world;
  ASSERT_TRUE(
      world
          .Apply(std::string(kStream) + "limits: {blackouts: [{cron: \"0 2 * * TUE\", for: 2h}]}\n")
          .ok());
  v1::NextFiringsRequest request;
  request.set_name("weekly");
  request.set_count(3);
  auto next = world.controller->NextFirings(request);
  ASSERT_TRUE(next.ok());
  ASSERT_EQ(next->firings_size(), 3);
  EXPECT_EQ(next->firings(0).local(), "Mon 2026-11-30 03:00:00 UTC");
  EXPECT_EQ(next->firings(0).note(), "");
  EXPECT_THAT(next->firings(1).note(), HasSubstr("blackout"));
}

TEST(ControllerTest, BadCronIsRefusedWithItsField) {
  World world;
  auto bad = world.Apply("trigger: {cron: \"0 25 * * *\"}\ndata: {observe: live}\n");
  EXPECT_EQ(bad.status().field(), "trigger.cron");
  bad = world.Apply("trigger: {cron: \"0 2 * * *\", timezone: Mars}\ndata: {observe: live}\n");
  EXPECT_EQ(bad.status().field(), "trigger.timezone");
}

TEST(ControllerTest, WhatAnEvaluationRefusesIsRefusedBeforeTraining) {
  World world;
  ASSERT_TRUE(world.Apply("gates: {retention: [{name: old-skill, dataset: old}]}\n").ok());
  v1::GetScheduleRequest get;
  get.set_name("weekly");
  v1::ApplyScheduleRequest good;
  *good.mutable_spec() = world.controller->Get(get)->spec();
  v1::ApplyScheduleRequest request = good;
  v1::MetricSpec* metric =
      request.mutable_spec()->mutable_gates()->mutable_retention(0)->mutable_metric();
  metric->set_name("regex");
  metric->set_pattern("[a");
  auto bad = world.controller->Apply(request);
  EXPECT_EQ(bad.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(bad.status().field(), "gates.retention[0].metric.pattern");
  request = good;
  v1::Goal* goal = request.mutable_spec()->mutable_gates()->add_goals();
  goal->set_min(0.5);
  goal->mutable_metric()->set_name("json_schema");
  goal->mutable_metric()->set_schema("{");
  EXPECT_EQ(world.controller->Apply(request).status().field(), "gates.goals");
  request = good;
  request.mutable_spec()->mutable_gates()->add_smoke()->set_prompt("");
  EXPECT_EQ(world.controller->Apply(request).status().field(), "gates.smoke[0].prompt");
  request = good;  // as many skills as gates take
  v1::GatesSpec* gates = request.mutable_spec()->mutable_gates();
  while (gates->retention_size() < 32) {
    v1::Retention* skill = gates->add_retention();
    *skill = gates->retention(0);
    skill->set_name("skill-" + std::to_string(gates->retention_size()));
  }
  bad = world.controller->Apply(request);
  EXPECT_TRUE(bad.ok()) << bad.status().message();
}

TEST(ControllerTest, JitterThatWouldDropSlotsIsRefused) {
  World world;
  auto bad = world.Apply("trigger: {cron: \"0 3,4 * * *\", jitter: 1h}\ndata: {observe: live}\n");
  EXPECT_EQ(bad.status().field(), "trigger.jitter");
  EXPECT_THAT(bad.status().message(), HasSubstr("only 3600 s apart"));
  EXPECT_TRUE(
      world.Apply("trigger: {cron: \"0 3,4 * * *\", jitter: 59m}\ndata: {observe: live}\n").ok());
}

TEST(ControllerTest, ApplyThatIsRepeatedIsAnsweredThoughItsDataIsGone) {
  World world;
  v1::ApplyScheduleRequest request;
  *request.mutable_spec() = world.Apply(kStream)->spec();
  request.set_request_id("a1");
  ASSERT_TRUE(world.controller->Apply(request).ok());
  world.datasets.versions.erase("old");
  auto again = world.controller->Apply(request);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->spec().name(), "weekly");
  request.set_request_id("a2");
  EXPECT_EQ(world.controller->Apply(request).status().code(), StatusCode::kNotFound);
}

TEST(ControllerTest, NamesOfNothingAreRefusedWithTheirField) {
  World world;
  auto bad = world.Apply("data: {observe: live, replay: {dataset: odl, share: 0.3}}\n");
  EXPECT_EQ(bad.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(bad.status().field(), "data.replay[0].dataset");
  bad = world.Apply("data: {observe: live}\ngates: {retention: [{dataset: none}]}\n");
  EXPECT_EQ(bad.status().field(), "gates.retention[0].dataset");
}

TEST(ControllerTest, DeletedSchedulesKeepTheirHistory) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.controller->Tick();
  world.controller->Tick();
  v1::DeleteScheduleRequest request;
  request.set_name("weekly");
  EXPECT_EQ(world.controller->Delete(request).status().code(), StatusCode::kFailedPrecondition);
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_TRUE(world.controller->Delete(request).ok());
  EXPECT_EQ(world.Weekly().status().code(), StatusCode::kNotFound);
  EXPECT_EQ(world.Updates().size(), 1u);
}

}  // namespace
}  // namespace attune::retraining
