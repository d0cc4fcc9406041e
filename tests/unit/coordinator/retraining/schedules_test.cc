// What users ask of schedules, and what is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/retraining/controller.h"
#include "tests/unit/coordinator/retraining/fake_world.h"

namespace attune::retraining {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

TEST(SchedulesTest, TriggerIsRefusedWhileAnUpdateRuns) {
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

TEST(SchedulesTest, NextFiringsSayWhatWouldKeepThem) {
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

TEST(SchedulesTest, BadCronIsRefusedWithItsField) {
  World world;
  auto bad = world.Apply("trigger: {cron: \"0 25 * * *\"}\ndata: {observe: live}\n");
  EXPECT_EQ(bad.status().field(), "trigger.cron");
  bad = world.Apply("trigger: {cron: \"0 2 * * *\", timezone: Mars}\ndata: {observe: live}\n");
  EXPECT_EQ(bad.status().field(), "trigger.timezone");
}

TEST(SchedulesTest, ADryRunRefusesWhatApplyWouldAndChangesNothing) {
  World world;
  v1::ApplyScheduleRequest request;
  *request.mutable_spec() = world.Apply(kStream)->spec();
  request.mutable_spec()->set_name("other");
  request.set_dry_run(true);
  request.set_request_id("r1");
  auto asked = world.controller->Apply(request);
  ASSERT_TRUE(asked.ok()) << asked.status().message();
  EXPECT_EQ(asked->spec().name(), "other");
  EXPECT_EQ(world.controller->List({})->schedules_size(), 1);
  request.mutable_spec()->mutable_trigger()->set_cron("0 25 * * *");
  EXPECT_EQ(world.controller->Apply(request).status().field(), "trigger.cron");
  request.mutable_spec()->mutable_trigger()->set_cron("0 2 * * *");
  world.datasets.versions.erase("old");
  EXPECT_EQ(world.controller->Apply(request).status().field(), "data.replay[0].dataset");
}

TEST(SchedulesTest, WhatAnEvaluationRefusesIsRefusedBeforeTraining) {
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

TEST(SchedulesTest, JitterThatWouldDropSlotsIsRefused) {
  World world;
  auto bad = world.Apply("trigger: {cron: \"0 3,4 * * *\", jitter: 1h}\ndata: {observe: live}\n");
  EXPECT_EQ(bad.status().field(), "trigger.jitter");
  EXPECT_THAT(bad.status().message(), HasSubstr("only 3600 s apart"));
  EXPECT_TRUE(
      world.Apply("trigger: {cron: \"0 3,4 * * *\", jitter: 59m}\ndata: {observe: live}\n").ok());
}

TEST(SchedulesTest, ApplyThatIsRepeatedIsAnsweredThoughItsDataIsGone) {
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

TEST(SchedulesTest, NamesOfNothingAreRefusedWithTheirField) {
  World world;
  auto bad = world.Apply("data: {observe: live, replay: {dataset: odl, share: 0.3}}\n");
  EXPECT_EQ(bad.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(bad.status().field(), "data.replay[0].dataset");
  bad = world.Apply("data: {observe: live}\ngates: {retention: [{dataset: none}]}\n");
  EXPECT_EQ(bad.status().field(), "gates.retention[0].dataset");
}

TEST(SchedulesTest, DeletedSchedulesKeepTheirHistory) {
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
