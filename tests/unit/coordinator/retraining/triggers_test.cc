// What begins an update, and what keeps it from starting.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/retraining/controller.h"
#include "coordinator/retraining/repository.h"
#include "tests/unit/coordinator/retraining/fake_world.h"

namespace attune::retraining {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(TriggersTest, ASlotFiresOnce) {
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

TEST(TriggersTest, ASlotThatComesAgainFiresNotAgain) {
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

TEST(TriggersTest, LimitsMakeItWaitAndSayWhy) {
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

TEST(TriggersTest, ASlotWhileAnUpdateRunsIsSkipped) {
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

TEST(TriggersTest, DriftAsksOnce) {
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

TEST(TriggersTest, DriftAsksNotAgainAfterASkippedUpdate) {
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

TEST(TriggersTest, DriftAsksNotAgainAfterACancelledUpdateAndCutsNoWindow) {
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

TEST(TriggersTest, NewExamplesAskNotAgainAfterAnUpdateThatFailedBeforeItChose) {
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
TEST(TriggersTest, AnAlarmWhileAnUpdateRunsAsksAfterIt) {
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

TEST(TriggersTest, WindowsOfAnotherStreamOfTheNameCountFromOne) {
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

TEST(TriggersTest, PausedSchedulesDoNothingAndMissTheirSlots) {
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

TEST(TriggersTest, AClockThatWasSetBackLosesNoSlot) {
  World world;
  ASSERT_TRUE(world.Apply("trigger: {cron: \"0 3 * * *\"}\n").ok());
  world.clock.Advance(hours(24 * 3650));  // it wakes up with a wrong clock
  world.controller->Tick();
  ASSERT_EQ(world.Updates().size(), 1u);  // a slot that passed, it seems
  v1::CancelUpdateRequest cancel;
  cancel.set_id(world.Updates()[0].id());
  ASSERT_TRUE(world.controller->CancelUpdate(cancel).ok());
  world.clock.Advance(-hours(24 * 3650));
  world.controller->Tick();
  EXPECT_EQ(jobs::GetTimestamp(world.Weekly()->next()), world.clock.Now() + hours(3));
  world.clock.Advance(hours(3));
  world.controller->Tick();
  ASSERT_EQ(world.Updates().size(), 2u);
  EXPECT_EQ(world.Updates()[0].trigger_detail(), "slot 2026-11-30 03:00:00 UTC");
}

TEST(TriggersTest, TroubleThatBeganInTimeToComeBeginsAgain) {
  World world;
  ASSERT_TRUE(world.Apply("trigger: {cron: \"0 3 * * *\"}\n").ok());
  world.clock.Advance(hours(24 * 3650));
  world.controller->Tick();
  world.jobs.refuse_get = Unavailable("the loop is busy");
  world.controller->Tick();
  const std::string id = world.Updates()[0].id();
  EXPECT_TRUE(world.Update(id).has_trouble_since());
  world.clock.Advance(-hours(24 * 3650));
  world.controller->Tick();
  world.clock.Advance(hours(24));
  world.controller->Tick();
  EXPECT_EQ(world.Update(id).state(), v1::Update::FAILED);
}

// So many more of the schedule "weekly", as if they had been applied.
void Copy(World* world, int many) {
  Status copied = world->database->Write([&](Transaction& transaction) {
    auto record = FindSchedule(transaction, "weekly");
    for (int i = 0; i < many; ++i) {
      record->schedule.mutable_spec()->set_name("copy-" + std::to_string(i));
      SaveSchedule(transaction, *record);
    }
    return Status();
  });
  ASSERT_TRUE(copied.ok()) << copied.message();
}

TEST(TriggersTest, EveryScheduleIsServedHoweverManyThereAre) {
  World world;
  ASSERT_TRUE(world.Apply("trigger: {cron: \"0 3 * * *\"}\nlimits: {catch_up: none}\n").ok());
  constexpr int kMany = 1050;
  ASSERT_NO_FATAL_FAILURE(Copy(&world, kMany));
  world.clock.Advance(hours(4));
  world.controller->Tick();
  world.controller->Tick();
  EXPECT_EQ(world.Count("events WHERE type = 'passed'"), kMany + 1);
  Status read = world.database->Read([&](Transaction& transaction) {
    EXPECT_TRUE(LoadDueSchedules(transaction, world.clock.Now(), 10).empty());
    return Status();
  });
  EXPECT_TRUE(read.ok());
}

TEST(TriggersTest, MoreStateTriggersThanOneTickTakesAreAllLookedAt) {
  World world;
  ASSERT_TRUE(world.Apply("trigger: {new_examples: 1000}\n").ok());
  constexpr int kMany = 150;
  ASSERT_NO_FATAL_FAILURE(Copy(&world, kMany));
  world.datasets.Add("docs", 1500, 100);
  for (int i = 0; i < 4; ++i) world.controller->Tick();
  EXPECT_EQ(world.Count("updates"), kMany + 1);
}

TEST(TriggersTest, WindowsThatAskForNothingAreReadOnce) {
  World world;
  ASSERT_TRUE(world
                  .Apply("trigger: {new_examples: 1000}\n"
                         "data: {observe: live}\n")
                  .ok());
  world.live.waiting = 300;
  world.live.Close();
  world.controller->Tick();
  const uint64_t read = world.live.read;
  EXPECT_GT(read, 0u);
  for (int i = 0; i < 10; ++i) world.controller->Tick();
  EXPECT_EQ(world.live.read, read);
  world.live.waiting = 800;
  world.live.Close();
  world.controller->Tick();
  EXPECT_EQ(world.Updates().size(), 1u);
}

TEST(TriggersTest, AScheduleWhoseTriggersCannotBeLookedAtSaysSo) {
  World world;
  ASSERT_TRUE(world.Apply("trigger: {new_examples: 1000}\n").ok());
  world.controller->Tick();
  EXPECT_EQ(world.Weekly()->reason(), "");
  auto docs = world.datasets.versions["docs"];
  world.datasets.versions.erase("docs");
  world.controller->Tick();
  EXPECT_THAT(world.Weekly()->reason(), HasSubstr("its triggers cannot be looked at: "));
  EXPECT_THAT(world.controller->ProblemOf("weekly"), HasSubstr("docs"));
  world.datasets.versions["docs"] = docs;
  world.controller->Tick();
  EXPECT_EQ(world.Weekly()->reason(), "");
}

}  // namespace
}  // namespace attune::retraining
