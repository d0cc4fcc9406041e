#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/rpc/rpc.h"
#include "tests/unit/cli/cli_runner.h"
#include "tests/unit/cli/fake_coordinator.h"
#include "tools/cli/schedule_view.h"

namespace attune::cli {
namespace {

using ::testing::HasSubstr;

constexpr const char* kSpec =
    "name: weekly\n"
    "job: job.yaml\n"
    "trigger: {cron: \"0 3 * * MON\", jitter: 5m}\n"
    "data: {observe: live, replay: {dataset: old, share: 0.3}}\n";

TEST(ScheduleApply, DryRunAsksTheCoordinatorAndPrintsEveryDefault) {
  TemporaryFolder folder;
  folder.Write("job.yaml", "base: smollm2\ndataset: docs\nmethod: lora\n");
  std::string file = folder.Write("weekly.yaml", kSpec);
  FakeCoordinator fake;
  CliRunner cli(fake.address());
  ASSERT_EQ(cli.Run({"schedule", "apply", file, "--dry-run"}), kExitOk) << cli.err();
  EXPECT_TRUE(fake.applied().dry_run());
  EXPECT_THAT(cli.out(), HasSubstr("timezone: \"UTC\""));
  EXPECT_THAT(cli.out(), HasSubstr("catch_up: latest"));
  EXPECT_THAT(cli.out(), HasSubstr("job:\n  base: \"smollm2\""));
  EXPECT_EQ(cli.err(), "");
  ASSERT_EQ(cli.Run({"schedule", "apply", file, "--dry-run", "-o", "name"}), kExitOk);
  EXPECT_EQ(cli.out(), "weekly\n");
  ASSERT_EQ(cli.Run({"schedule", "apply", file}), kExitOk) << cli.err();
  EXPECT_FALSE(fake.applied().dry_run());
  EXPECT_THAT(cli.out(), HasSubstr("Trigger"));
  // What only the coordinator can know is shown where it stands.
  fake.refuse_schedule =
      rpc::ToGrpc(InvalidArgument("trigger.cron: no such hour").WithField("trigger.cron"));
  EXPECT_EQ(cli.Run({"schedule", "apply", file, "--dry-run"}), kExitUsage);
  EXPECT_THAT(cli.err(), HasSubstr("weekly.yaml:3:17: trigger.cron: no such hour"));
}

TEST(ScheduleApply, SaysThatAJobOfSoManyStepsDoesNotGrowWithItsData) {
  TemporaryFolder folder;
  folder.Write("job.yaml", "base: smollm2\ndataset: docs\nmethod: lora\ntrain: {max_steps: 40}\n");
  std::string file = folder.Write("weekly.yaml", kSpec);
  FakeCoordinator fake;
  CliRunner cli(fake.address());
  ASSERT_EQ(cli.Run({"schedule", "apply", file}), kExitOk) << cli.err();
  EXPECT_THAT(cli.err(), HasSubstr("at most 40 steps, however much data there is"));
  EXPECT_THAT(cli.out(), HasSubstr("Trains       40 steps\n"));
}

TEST(ScheduleApply, ErrorsAreShownWhereTheyStand) {
  TemporaryFolder folder;
  std::string file = folder.Write("weekly.yaml", kSpec);
  CliRunner cli;
  EXPECT_EQ(cli.Run({"schedule", "apply", file, "--dry-run"}), kExitUsage);
  EXPECT_THAT(cli.err(), HasSubstr("weekly.yaml:2:6: job: there is no file"));
  EXPECT_EQ(cli.Run({"schedule", "apply", "absent.yaml"}), kExitNotFound);
}

v1::Update MakeUpdate() {
  v1::Update update;
  update.set_id("update-1");
  update.set_schedule("weekly");
  update.set_state(v1::Update::KEPT);
  update.set_reason("forgets stdlib");
  update.set_trigger("drift");
  update.set_trigger_detail("AUC 0.9");
  update.set_champion("docs@1");
  update.set_candidate("docs@2");
  v1::GateResult* gate = update.mutable_report()->add_gates();
  gate->set_gate("retention");
  gate->set_name("stdlib");
  gate->set_verdict(v1::GateReport::FAILED);
  gate->set_explanation("forgets stdlib: loss 1.92 -> 2.31");
  v1::SkillChange* skill = update.mutable_report()->add_skills();
  skill->set_skill("stdlib");
  skill->set_metric("loss");
  skill->set_before(1.92);
  skill->set_after(2.31);
  skill->set_worse_by(0.39);
  skill->set_lower(0.31);
  skill->set_upper(0.46);
  skill->set_budget(0.02);
  skill->set_confidence(0.95);
  v1::UpdateEvent* event = update.add_events();
  event->mutable_time()->set_seconds(1795996800);
  event->set_type("trained");
  event->set_message("docs@2 is the candidate");
  return update;
}

TEST(UpdateCard, SaysWhyAndWhatWasForgotten) {
  std::string card = UpdateCard(MakeUpdate(), {});
  EXPECT_THAT(card, HasSubstr("KEPT"));
  EXPECT_THAT(card, HasSubstr("drift: AUC 0.9"));
  EXPECT_THAT(card, HasSubstr("FAILED        retention stdlib: forgets stdlib: loss 1.92 -> 2.31"));
  EXPECT_THAT(card, HasSubstr("stdlib  forgotten  loss 1.92 -> 2.31, worse by 0.39 (by at least "
                              "0.31, 95 % sure), budget 0.02"));
  EXPECT_THAT(card, HasSubstr("trained: docs@2 is the candidate"));
}

TEST(ScheduleWatch, EndsWithZeroOnlyForAModelThatIsGoodEnough) {
  FakeCoordinator fake;
  CliRunner cli(fake.address());
  fake.update = MakeUpdate();
  const auto ends = [&](v1::Update::State state, v1::GateReport::Verdict verdict) {
    fake.update.set_state(state);
    fake.update.mutable_report()->set_verdict(verdict);
    const int shown = cli.Run({"schedule", "update", "update-1", "--watch"});
    EXPECT_EQ(cli.Run({"schedule", "trigger", "weekly", "--watch"}), shown) << cli.err();
    return shown;
  };
  EXPECT_EQ(ends(v1::Update::PROMOTED, v1::GateReport::PASSED), kExitOk);
  EXPECT_EQ(ends(v1::Update::WATCHING, v1::GateReport::PASSED), kExitOk);
  EXPECT_EQ(ends(v1::Update::KEPT, v1::GateReport::PASSED), kExitOk);  // promote.manual
  EXPECT_EQ(ends(v1::Update::KEPT, v1::GateReport::FAILED), kExitFailed);
  EXPECT_EQ(ends(v1::Update::KEPT, v1::GateReport::INCONCLUSIVE), kExitFailed);
  EXPECT_EQ(ends(v1::Update::ROLLED_BACK, v1::GateReport::PASSED), kExitFailed);
  EXPECT_EQ(ends(v1::Update::FAILED, v1::GateReport::VERDICT_UNSPECIFIED), kExitFailed);
  EXPECT_EQ(cli.Run({"schedule", "update", "update-1"}), kExitOk);  // shown, not judged
}

TEST(SkillLines, TellKeptUncertainAndForgottenApart) {
  v1::Update update = MakeUpdate();
  v1::SkillChange* skill = update.mutable_report()->mutable_skills(0);
  skill->set_worse_by(-0.1);
  EXPECT_THAT(SkillLines(update.report(), {}),
              HasSubstr("uncertain  loss 1.92 -> 2.31, better by 0.1 (worse by at most 0.46, 95 % "
                        "sure)"));
  skill->set_kept(true);
  EXPECT_THAT(SkillLines(update.report(), {}), HasSubstr("kept"));
}

TEST(ScheduleTable, NextAndReason) {
  v1::Schedule schedule;
  schedule.mutable_spec()->set_name("weekly");
  schedule.set_state("idle");
  schedule.set_reason("update-1 KEPT: forgets stdlib");
  std::string table = ScheduleTable({schedule}, TimePoint()).Render(0, false);
  EXPECT_THAT(table, HasSubstr("weekly"));
  EXPECT_THAT(table, HasSubstr("update-1 KEPT"));
}

}  // namespace
}  // namespace attune::cli
