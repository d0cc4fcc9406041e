#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/rpc/rpc.h"
#include "tests/unit/cli/cli_runner.h"
#include "tests/unit/cli/fake_coordinator.h"

namespace attune::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSpec[] = "name: docs\nbase: m\ndataset: d\nmethod: lora\n";

class JobsTest : public ::testing::Test {
 protected:
  JobsTest() : cli_(fake_.address()), spec_(folder_.Write("job.yaml", kSpec)) {}
  FakeCoordinator fake_;
  CliRunner cli_;
  TemporaryFolder folder_;
  std::string spec_;
};

TEST_F(JobsTest, SubmitSendsTheFullSpecAndPrintsTheJob) {
  ASSERT_EQ(cli_.Run({"job", "submit", spec_, "--set", "train.epochs=2", "-o", "json"}), kExitOk)
      << cli_.err();
  auto job = json::parse(cli_.out());
  EXPECT_EQ(job["id"], "job-submitted000");
  EXPECT_EQ(job["state"], "QUEUED");
  EXPECT_EQ(job["spec"]["train"]["epochs"], 2.0);
  EXPECT_EQ(job["spec"]["train"]["sequence_length"], 1024);
  ASSERT_EQ(fake_.submits().size(), 1u);
  EXPECT_EQ(fake_.submits()[0].spec_source(), kSpec);
  EXPECT_EQ(fake_.submits()[0].kind(), v1::Job::TRAIN);
}

TEST_F(JobsTest, SubmitReadsStandardInput) {
  ASSERT_EQ(cli_.Run({"job", "submit", "-", "-o", "name"}, kSpec), kExitOk) << cli_.err();
  EXPECT_EQ(cli_.out(), "job-submitted000\n");
}

TEST_F(JobsTest, SubmitRetriesWithTheSameRequestId) {
  fake_.unavailable_submits = 2;
  ASSERT_EQ(cli_.Run({"job", "submit", spec_}), kExitOk) << cli_.err();
  auto submits = fake_.submits();
  ASSERT_EQ(submits.size(), 3u);
  EXPECT_EQ(submits[0].request_id(), submits[2].request_id());
  EXPECT_THAT(submits[0].request_id(), HasSubstr("req-"));
  EXPECT_THAT(cli_.err(), HasSubstr("coordinator away, retrying"));
}

TEST_F(JobsTest, InvalidSpecIsRefusedBeforeItIsSent) {
  std::string bad =
      folder_.Write("bad.yaml", "base: m\ndataset: d\nmethod: lora\ntrain: {epoch: 1}\n");
  EXPECT_EQ(cli_.Run({"job", "submit", bad}), kExitUsage);
  EXPECT_THAT(cli_.err(),
              HasSubstr("bad.yaml:4:9: unknown key 'epoch' in train; did you mean 'epochs'?"));
  EXPECT_EQ(cli_.out(), "");
  EXPECT_TRUE(fake_.submits().empty());
  EXPECT_EQ(cli_.Run({"job", "submit", folder_.path().string() + "/absent.yaml"}), kExitNotFound);
}

TEST_F(JobsTest, RefusalsBecomeExitCodes) {
  fake_.refuse = rpc::ToGrpc(NotFound("there is no model 'm'"));
  EXPECT_EQ(cli_.Run({"job", "submit", spec_}), kExitNotFound);
  EXPECT_EQ(cli_.err(), "error: there is no model 'm'\n");
  fake_.refuse = rpc::ToGrpc(Status(StatusCode::kPermissionDenied, "no"));
  EXPECT_EQ(cli_.Run({"job", "submit", spec_}), kExitDenied);
  fake_.refuse = rpc::ToGrpc(InvalidArgument("ranks"));
  EXPECT_EQ(cli_.Run({"job", "submit", spec_}), kExitUsage);
}

TEST_F(JobsTest, AbsentCoordinatorSaysWhatToDo) {
  fake_.Stop();
  EXPECT_EQ(cli_.Run({"job", "list"}), kExitUnavailable);
  EXPECT_THAT(cli_.err(), HasSubstr("cannot reach the coordinator at " + fake_.address()));
  EXPECT_THAT(cli_.err(), HasSubstr("attune up"));
}

TEST_F(JobsTest, ListFollowsPagesInEveryFormat) {
  for (const char* id : {"job-a", "job-b", "job-c"}) fake_.jobs[id] = MakeJob(id, v1::Job::RUNNING);
  ASSERT_EQ(cli_.Run({"job", "list", "-o", "name"}), kExitOk) << cli_.err();
  EXPECT_EQ(cli_.out(), "job-a\njob-b\njob-c\n");
  ASSERT_EQ(cli_.Run({"job", "list", "-o", "json"}), kExitOk);
  EXPECT_EQ(json::parse(cli_.out()).size(), 3u);
  ASSERT_EQ(cli_.Run({"job", "list", "-o", "jsonl", "--limit", "2"}), kExitOk);
  EXPECT_EQ(cli_.out_lines(), 2);
  ASSERT_EQ(cli_.Run({"job", "list"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("20/40"));
  EXPECT_THAT(cli_.out(), HasSubstr("2.2500"));
}

TEST_F(JobsTest, EmptyListSaysHowToGoOnWithoutTouchingData) {
  ASSERT_EQ(cli_.Run({"job", "list"}), kExitOk);
  EXPECT_EQ(cli_.out(), "");
  EXPECT_THAT(cli_.err(), HasSubstr("attune job submit"));
  ASSERT_EQ(cli_.Run({"job", "list", "-o", "json"}), kExitOk);
  EXPECT_EQ(cli_.out(), "[]\n");
}

TEST_F(JobsTest, ShowHasTheContractsFields) {
  v1::Job job = MakeJob("job-a", v1::Job::SUCCEEDED);
  job.set_model("docs@2");
  v1::Incident* incident = job.add_incidents();
  incident->set_rank(1);
  incident->set_node("worker-1");
  incident->set_cause("killed by signal 9 (SIGKILL)");
  incident->add_log_tail("last words");
  fake_.jobs["job-a"] = job;
  ASSERT_EQ(cli_.Run({"job", "show", "job-a", "-o", "json"}), kExitOk) << cli_.err();
  auto shown = json::parse(cli_.out());
  for (const char* key :
       {"id", "name", "state", "reason", "step", "total_steps", "ranks", "model", "metrics"}) {
    EXPECT_TRUE(shown.contains(key)) << key;
  }
  EXPECT_EQ(shown["metrics"]["loss"], 2.25);
  ASSERT_EQ(cli_.Run({"job", "show", "job-a"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("docs@2"));
  EXPECT_THAT(cli_.out(), HasSubstr("rank 1 on worker-1 at step 0: killed by signal 9 (SIGKILL)"));
  EXPECT_THAT(cli_.out(), HasSubstr("| last words"));
  EXPECT_EQ(cli_.Run({"job", "show", "nope"}), kExitNotFound);
}

TEST_F(JobsTest, ShowOfAWaitingJobSaysWhy) {
  fake_.jobs["job-a"] = MakeJob("job-a", v1::Job::QUEUED);
  ASSERT_EQ(cli_.Run({"job", "show", "job-a"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("needs 2 slots, 1 of 2 is free"));
  ASSERT_EQ(cli_.Run({"job", "why", "job-a"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("another worker joins"));
}

TEST_F(JobsTest, TheLedgerSaysWhatIsNotAsPlanned) {
  v1::JobLedger& ledger = fake_.ledger;
  ledger.set_job_id("job-a");
  ledger.set_examples(12);
  ledger.set_used(12);
  ledger.set_steps(4);
  ledger.set_applied_steps(4);
  v1::LedgerSteps* lost = ledger.add_applied();
  lost->set_generation(1);
  lost->set_first(3);
  lost->set_last(4);
  lost->set_why("requeued: killed by signal 9");
  ASSERT_EQ(cli_.Run({"job", "ledger", "job-a"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("every example was used exactly as planned"));
  EXPECT_THAT(cli_.out(), HasSubstr("12 planned, 12 used, 0 missing, 0 repeated"));
  EXPECT_THAT(cli_.out(), HasSubstr("no, done again"));
  EXPECT_THAT(cli_.out(), HasSubstr("killed by signal 9"));
  ASSERT_EQ(cli_.Run({"job", "ledger", "job-a", "--list", "missing", "-o", "name"}), kExitOk);
  EXPECT_EQ(cli_.out(), "");

  ledger.set_used(10);
  ledger.set_missing(2);
  v1::LedgerProblem* problem = ledger.add_problems();
  problem->set_kind(v1::LedgerProblem::LOST);
  problem->set_step(2);
  for (const char* id : {"0a", "0b"}) ledger.add_uses()->set_id(id);
  ASSERT_EQ(cli_.Run({"job", "ledger", "job-a"}), kExitFailed);
  EXPECT_THAT(cli_.out(), HasSubstr("not as planned"));
  EXPECT_THAT(cli_.out(), HasSubstr("step 2: LOST"));
  ASSERT_EQ(cli_.Run({"job", "ledger", "job-a", "-o", "json"}), kExitFailed);
  EXPECT_EQ(json::parse(cli_.out())["missing"], 2);
  EXPECT_FALSE(json::parse(cli_.out()).contains("uses"));
  ASSERT_EQ(cli_.Run({"job", "ledger", "job-a", "--list", "missing", "-o", "name"}), kExitFailed);
  EXPECT_EQ(cli_.out(), "0a\n0b\n");
}

TEST_F(JobsTest, ActionsAndConflicts) {
  ASSERT_EQ(cli_.Run({"job", "cancel", "job-a", "-o", "json"}), kExitOk);
  EXPECT_EQ(json::parse(cli_.out())["state"], "CANCELLED");
  EXPECT_EQ(cli_.Run({"job", "pause", "job-a"}), kExitConflict);
}

TEST_F(JobsTest, MetricsAsLinesAndAsTableWithPlot) {
  for (uint32_t step = 1; step <= 50; ++step) {
    v1::MetricPoint point;
    point.set_step(step);
    point.set_loss(3.0 / step);
    point.set_tokens(1000);
    point.set_seconds(0.5);
    fake_.metrics.push_back(point);
  }
  v1::MetricPoint evaluation;
  evaluation.set_step(50);
  evaluation.set_validation_loss(0.75);
  fake_.metrics.push_back(evaluation);
  ASSERT_EQ(cli_.Run({"job", "metrics", "job-a", "-o", "jsonl"}), kExitOk) << cli_.err();
  EXPECT_EQ(cli_.out_lines(), 51);
  auto first = json::parse(cli_.out().substr(0, cli_.out().find('\n')));
  EXPECT_EQ(first["loss"], 3.0);
  EXPECT_FALSE(first.contains("validation_loss"));
  ASSERT_EQ(cli_.Run({"job", "metrics", "job-a"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("● validation loss"));
  EXPECT_THAT(cli_.out(), HasSubstr("0.7500"));
  EXPECT_LT(cli_.out_lines(), 45);
}

TEST_F(JobsTest, LogsJoinPiecesAndNameTheRank) {
  auto add = [&](uint32_t rank, uint64_t offset, const std::string& data) {
    v1::LogChunk chunk;
    chunk.set_rank(rank);
    chunk.set_offset(offset);
    chunk.set_data(data);
    fake_.logs.push_back(chunk);
  };
  add(0, 0, "one\ntw");
  add(1, 0, "other\n");
  add(0, 4, "two\n");  // overlaps, as after a new start of the stream
  ASSERT_EQ(cli_.Run({"job", "logs", "job-a"}), kExitOk) << cli_.err();
  EXPECT_EQ(cli_.out(), "[0] one\n[1] other\n[0] two\n");
}

TEST_F(JobsTest, ShowTellsWarnings) {
  fake_.jobs["job-a"] = MakeJob("job-a", v1::Job::RUNNING);
  fake_.jobs["job-a"].add_warnings("2 are cut");
  ASSERT_EQ(cli_.Run({"job", "show", "job-a"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), testing::ContainsRegex("Warning +2 are cut\n"));
}

TEST_F(JobsTest, ShowTellsTheMemoryOfARank) {
  fake_.jobs["job-a"] = MakeJob("job-a", v1::Job::RUNNING);
  ASSERT_EQ(cli_.Run({"job", "show", "job-a"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), Not(HasSubstr("Memory")));
  auto& metrics = *fake_.jobs["job-a"].mutable_metrics();
  metrics["peak_memory"] = 1.25 * (1 << 30);
  metrics["predicted_memory"] = 1.5 * (1 << 30);
  ASSERT_EQ(cli_.Run({"job", "show", "job-a"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), testing::ContainsRegex(
                              "Memory +1.25 GiB measured, 1.5 GiB predicted \\(a rank\\)\n"));
}

TEST_F(JobsTest, ShowTellsWhatIsMixedAndWhatHoldsTheWeights) {
  v1::Job job = MakeJob("job-a", v1::Job::RUNNING);
  job.clear_datasets();
  job.mutable_spec()->clear_datasets();
  for (const char* name : {"live", "old"}) {
    job.mutable_spec()->add_datasets()->set_name(name);
    job.add_datasets(std::string(name) + "@2");
  }
  job.mutable_spec()->mutable_datasets(0)->set_weight(1);
  job.mutable_spec()->mutable_datasets(1)->set_share(0.3);
  fake_.jobs["job-a"] = job;
  ASSERT_EQ(cli_.Run({"job", "show", "job-a"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), testing::ContainsRegex("Data +live@2, old@2 \\(share 0.3\\)\n"));
  EXPECT_THAT(cli_.out(), Not(HasSubstr("Regularize")));
  fake_.jobs["job-a"].mutable_spec()->mutable_regularize()->set_type("l2-sp");
  fake_.jobs["job-a"].mutable_spec()->mutable_regularize()->set_strength(0.01);
  ASSERT_EQ(cli_.Run({"job", "show", "job-a"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), testing::ContainsRegex("Regularize +l2-sp, strength 0.01\n"));
}

TEST_F(JobsTest, DryRunPrintsThePlan) {
  fake_.events = {MakeEvent(1, "ended", "", MakeJob("job-submitted000", v1::Job::SUCCEEDED))};
  fake_.output =
      R"({"steps":12,"sequences":48,"examples":100,"tokens":20000,"target_tokens":5000,"fill":0.9,"fill_limit":0.953,"parameters":1000,)"
      R"("trainable_parameters":10,"memory":{"weights":1048576,"gradients":0,"optimizer":0,"activations":0,"overhead":0},)"
      R"("datasets":[{"reference":"live@2","weight":3,"examples_an_epoch":900},{"reference":"old@1","weight":1,)"
      R"("examples_an_epoch":100},{"reference":"past@3","weight":0,"share":0.3,"examples_an_epoch":428}],)"
      R"("warnings":["2 are cut"]})";
  ASSERT_EQ(cli_.Run({"job", "submit", spec_, "--dry-run"}), kExitOk) << cli_.err();
  EXPECT_EQ(fake_.submits()[0].kind(), v1::Job::PLAN);
  EXPECT_THAT(cli_.out(), HasSubstr("12 of 16 sequences x 1024 tokens"));
  EXPECT_THAT(cli_.out(), HasSubstr("90% filled (at most 95.3% is possible)"));
  EXPECT_THAT(cli_.out(), HasSubstr("1 MiB per rank"));
  EXPECT_THAT(cli_.out(), HasSubstr("live@2: 900 examples an epoch (weight 3)\n"));
  EXPECT_THAT(cli_.out(), HasSubstr("old@1: 100 examples an epoch\n"));
  EXPECT_THAT(cli_.out(), HasSubstr("past@3: 428 examples an epoch (share 0.3)\n"));
  EXPECT_THAT(cli_.out(), Not(HasSubstr("regularize")));
  EXPECT_THAT(cli_.out(), testing::ContainsRegex("Warning +2 are cut\n"));
  ASSERT_EQ(cli_.Run({"job", "submit", spec_, "--dry-run", "-o", "json"}), kExitOk);
  EXPECT_EQ(json::parse(cli_.out())["steps"], 12);
}

TEST_F(JobsTest, ExplainNeedsNoCoordinator) {
  fake_.Stop();
  EXPECT_EQ(cli_.Run({"job", "explain", "train.epochs"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("Default: 1"));
  EXPECT_EQ(cli_.Run({"job", "explain", "train.epoch"}), kExitNotFound);
}

TEST_F(JobsTest, NoColorWithoutATerminalOrWithNoColor) {
  fake_.jobs["job-a"] = MakeJob("job-a", v1::Job::FAILED);
  cli_.Run({"job", "list"});
  EXPECT_THAT(cli_.out(), Not(HasSubstr("\033[")));
  cli_.SetTerminal(80);
  cli_.Run({"job", "list"});
  EXPECT_THAT(cli_.out(), HasSubstr("\033[31mFAILED\033[0m"));
  cli_.SetEnv("NO_COLOR", "1");
  cli_.Run({"job", "list"});
  EXPECT_THAT(cli_.out(), Not(HasSubstr("\033[")));
}

}  // namespace
}  // namespace attune::cli
