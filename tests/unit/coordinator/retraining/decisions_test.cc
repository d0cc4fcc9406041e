#include "coordinator/retraining/decisions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attune::retraining {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

// 2026-11-30 00:00:00 UTC, a Monday.
constexpr TimePoint kMonday{seconds(1795996800)};

Cron MustParse(const std::string& expression) {
  auto cron = Cron::Parse(expression, "UTC");
  EXPECT_TRUE(cron.ok()) << cron.status().message();
  return *cron;
}

v1::ScheduleSpec Spec(const std::string& catch_up = "latest", double jitter = 0) {
  v1::ScheduleSpec spec;
  spec.set_name("weekly");
  spec.mutable_trigger()->set_jitter_seconds(jitter);
  spec.mutable_limits()->set_catch_up(catch_up);
  return spec;
}

TEST(DecideCron, FiresWhenTheSlotIsThere) {
  Cron cron = MustParse("0 3 * * *");
  auto before = DecideCron(Spec(), cron, kMonday, kMonday + hours(3) - seconds(1));
  EXPECT_FALSE(before.fire);
  EXPECT_EQ(before.next, kMonday + hours(3));
  auto at = DecideCron(Spec(), cron, kMonday, kMonday + hours(3));
  EXPECT_EQ(at.fire, kMonday + hours(3));
  EXPECT_EQ(at.looked, kMonday + hours(3));
  EXPECT_EQ(at.next, kMonday + hours(27));
  EXPECT_FALSE(DecideCron(Spec(), cron, at.looked, kMonday + hours(4)).fire);
}

TEST(DecideCron, OfSlotsThatPassedTheLatestFires) {
  Cron cron = MustParse("0 3 * * *");
  auto decision = DecideCron(Spec(), cron, kMonday, kMonday + hours(24 * 5));
  EXPECT_EQ(decision.fire, kMonday + hours(24 * 4 + 3));
  EXPECT_EQ(decision.passed, 4u);
}

TEST(DecideCron, OrNone) {
  Cron cron = MustParse("0 3 * * *");
  auto late = DecideCron(Spec("none"), cron, kMonday, kMonday + hours(24 * 5));
  EXPECT_FALSE(late.fire);
  EXPECT_EQ(late.passed, 5u);
  EXPECT_EQ(late.looked, kMonday + hours(24 * 4 + 3));
  EXPECT_TRUE(DecideCron(Spec("none"), cron, kMonday, kMonday + hours(3) + seconds(60)).fire);
}

TEST(DecideCron, WhenTheClockWasSetBackSlotsFromNowOnAreToCome) {
  auto decision = DecideCron(Spec(), MustParse("0 3 * * *"), kMonday + hours(24 * 3650), kMonday);
  EXPECT_FALSE(decision.fire);
  EXPECT_EQ(decision.looked, kMonday);
  EXPECT_EQ(decision.next, kMonday + hours(3));
  EXPECT_EQ(decision.passed, 0u);
}

TEST(DecideCron, YearsOfSlotsAreNotWalked) {
  auto decision = DecideCron(Spec(), MustParse("* * * * * *"), kMonday - hours(24 * 3650), kMonday);
  EXPECT_EQ(decision.fire, kMonday);
  EXPECT_EQ(decision.passed, kSlotsCounted - 1);
}

TEST(DecideCron, JitterIsTheSameEachTimeAndWithinItsBound) {
  Cron cron = MustParse("0 3 * * *");
  const TimePoint slot = kMonday + hours(3);
  const Duration jitter = Jitter("weekly", slot, 300);
  EXPECT_EQ(jitter, Jitter("weekly", slot, 300));
  EXPECT_NE(jitter, Jitter("other", slot, 300));
  EXPECT_GE(jitter.count(), 0);
  EXPECT_LE(jitter, seconds(300));
  EXPECT_EQ(Jitter("weekly", slot, 0).count(), 0);
  EXPECT_FALSE(DecideCron(Spec("latest", 300), cron, kMonday, slot + jitter - Duration(1)).fire);
  EXPECT_EQ(DecideCron(Spec("latest", 300), cron, kMonday, slot + jitter).fire, slot);
}

TEST(DecideTriggers, AnAlarmAsksOnce) {
  v1::TriggerSpec spec;
  spec.set_drift(true);
  TriggerFacts facts;
  facts.stream.emplace();
  EXPECT_FALSE(DecideTriggers(spec, facts));
  facts.stream->mutable_alarm_since()->set_seconds(1000);
  facts.stream->set_reason("embeddings: AUC 0.9");
  auto trigger = DecideTriggers(spec, facts);
  ASSERT_TRUE(trigger);
  EXPECT_EQ(trigger->kind, "drift");
  EXPECT_EQ(trigger->detail, "embeddings: AUC 0.9");
  facts.seen.mutable_alarm_since()->set_seconds(1000);
  EXPECT_FALSE(DecideTriggers(spec, facts));
  facts.seen.mutable_alarm_since()->set_seconds(999);
  EXPECT_TRUE(DecideTriggers(spec, facts));
  facts.seen.mutable_alarm_since()->set_seconds(1000);
  facts.stream->mutable_created()->set_seconds(900);  // another stream of this name
  EXPECT_TRUE(DecideTriggers(spec, facts));
}

TEST(DecideTriggers, NewExamplesAreTheTrainableOnes) {
  v1::TriggerSpec spec;
  spec.set_new_examples(100);
  TriggerFacts facts;
  facts.windows.resize(2);
  facts.windows[0].set_examples(500);
  facts.windows[0].set_labelled(60);
  facts.windows[1].set_labelled(39);
  EXPECT_FALSE(DecideTriggers(spec, facts));
  facts.windows[1].set_labelled(40);
  ASSERT_TRUE(DecideTriggers(spec, facts));
  EXPECT_THAT(DecideTriggers(spec, facts)->detail, HasSubstr("100 new trainable examples"));
  facts.windows[0].set_excluded(true);
  EXPECT_FALSE(DecideTriggers(spec, facts));
}

TEST(DecideTriggers, QualityOfTheNewestMeasuredWindow) {
  v1::TriggerSpec spec;
  spec.mutable_quality()->set_live_loss_increase(0.1);
  TriggerFacts facts;
  facts.windows.resize(2);
  facts.windows[0].set_state("measured");
  facts.windows[1].set_state("embedding");
  // Worse than the data that the champion was trained on, as it was from its start.
  v1::DetectorResult* against_reference = facts.windows[0].add_detectors();
  against_reference->set_detector("quality");
  against_reference->set_effect(0.7);
  against_reference->set_p_value(1e-9);
  EXPECT_FALSE(DecideTriggers(spec, facts));
  v1::LabelledLoss* loss = facts.windows[0].mutable_labelled_loss();
  loss->set_increase(0.2);
  loss->set_p_value(0.001);
  ASSERT_TRUE(DecideTriggers(spec, facts));
  EXPECT_THAT(DecideTriggers(spec, facts)->detail,
              HasSubstr("higher by 0.2 nats a token in window 0 than in its first windows"));
  facts.windows[0].set_excluded(true);
  EXPECT_FALSE(DecideTriggers(spec, facts));
  facts.windows[0].set_excluded(false);
  loss->set_p_value(0.2);
  EXPECT_FALSE(DecideTriggers(spec, facts));
  loss->set_p_value(0.001);
  loss->set_increase(0.05);
  EXPECT_FALSE(DecideTriggers(spec, facts));
}

v1::LimitsSpec Limits(const std::string& overlap = "skip") {
  v1::LimitsSpec limits;
  limits.set_overlap(overlap);
  return limits;
}

TEST(DecideStart, Overlap) {
  LimitFacts facts;
  EXPECT_EQ(DecideStart(Limits(), {}, facts, kMonday).kind, StartDecision::kStart);
  facts.running = "update-a is TRAINING";
  EXPECT_EQ(DecideStart(Limits(), {}, facts, kMonday).kind, StartDecision::kSkip);
  EXPECT_EQ(DecideStart(Limits("queue"), {}, facts, kMonday).kind, StartDecision::kWait);
  facts.waiting = 1;
  EXPECT_EQ(DecideStart(Limits("queue"), {}, facts, kMonday).kind, StartDecision::kSkip);
}

TEST(DecideStart, CoolDown) {
  v1::LimitsSpec limits = Limits();
  limits.set_cool_down_seconds(6 * 3600);
  LimitFacts facts;
  facts.last_end = kMonday;
  auto decision = DecideStart(limits, {}, facts, kMonday + hours(5));
  EXPECT_EQ(decision.kind, StartDecision::kWait);
  EXPECT_EQ(decision.until, kMonday + hours(6));
  EXPECT_THAT(decision.reason, HasSubstr("2026-11-30 06:00:00 UTC"));
  EXPECT_EQ(DecideStart(limits, {}, facts, kMonday + hours(6)).kind, StartDecision::kStart);
}

TEST(DecideStart, AnEndOfAClockThatWasAheadCountsForNothing) {
  v1::LimitsSpec limits = Limits();
  limits.set_cool_down_seconds(6 * 3600);
  limits.set_gpu_hours_per_week(20);
  LimitFacts facts;
  facts.last_end = kMonday + hours(24 * 3650);
  facts.gpu_hours = {{kMonday + hours(24 * 3650), 100}};
  EXPECT_EQ(DecideStart(limits, {}, facts, kMonday).kind, StartDecision::kStart);
  facts.last_end = kMonday + minutes(1);  // it was set back a little
  EXPECT_EQ(DecideStart(limits, {}, facts, kMonday).kind, StartDecision::kWait);
}

TEST(DecideStart, GpuHoursOfSevenDays) {
  v1::LimitsSpec limits = Limits();
  limits.set_gpu_hours_per_week(20);
  LimitFacts facts;
  facts.gpu_hours = {{kMonday - hours(24 * 8), 100},  // out of the week
                     {kMonday - hours(24 * 6), 12},
                     {kMonday - hours(24 * 2), 9}};
  auto decision = DecideStart(limits, {}, facts, kMonday);
  EXPECT_EQ(decision.kind, StartDecision::kWait);
  EXPECT_EQ(decision.until, kMonday + hours(24));
  EXPECT_THAT(decision.reason, HasSubstr("used 21 of 20 GPU hours"));
  EXPECT_EQ(DecideStart(limits, {}, facts, kMonday + hours(24)).kind, StartDecision::kStart);
}

TEST(DecideStart, Blackouts) {
  v1::LimitsSpec limits = Limits();
  v1::Blackout* blackout = limits.add_blackouts();
  blackout->set_cron("0 8 * * MON-FRI");
  blackout->set_seconds(10 * 3600);
  std::vector<Cron> crons = {MustParse(blackout->cron())};
  EXPECT_EQ(DecideStart(limits, crons, {}, kMonday + hours(8) - seconds(1)).kind,
            StartDecision::kStart);
  auto decision = DecideStart(limits, crons, {}, kMonday + hours(8));
  EXPECT_EQ(decision.kind, StartDecision::kWait);
  EXPECT_EQ(decision.until, kMonday + hours(18));
  EXPECT_EQ(DecideStart(limits, crons, {}, kMonday + hours(18)).kind, StartDecision::kStart);
  EXPECT_EQ(DecideStart(limits, crons, {}, kMonday - hours(12)).kind, StartDecision::kStart);
}

}  // namespace
}  // namespace attune::retraining
