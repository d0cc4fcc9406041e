#include "tools/cli/watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/cli/cli_runner.h"
#include "tests/unit/cli/fake_coordinator.h"
#include "tools/cli/format.h"
#include "tools/cli/job_view.h"

namespace attune::cli {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

v1::Job JobAt(uint32_t step, v1::Job::State state) {
  v1::Job job = MakeJob("job-a", state);
  job.set_step(step);
  return job;
}

class WatchTest : public ::testing::Test {
 protected:
  WatchTest() : cli_(fake_.address()) {
    v1::Job start = JobAt(0, v1::Job::QUEUED);
    start.set_sequence(4);
    fake_.jobs["job-a"] = start;
    v1::Job end = JobAt(40, v1::Job::SUCCEEDED);
    end.set_model("docs@1");
    fake_.events = {
        MakeEvent(4, "old", "an old event", start),
        MakeEvent(5, "placed", "placed on 2 slots", JobAt(0, v1::Job::RUNNING)),
        MakeEvent(6, "step", "step 10", JobAt(10, v1::Job::RUNNING)),
        MakeEvent(7, "evaluated", "validation loss 2.1 at step 20", JobAt(20, v1::Job::RUNNING)),
        MakeEvent(8, "ended", "registered docs@1", end)};
  }
  FakeCoordinator fake_;
  CliRunner cli_;
};

TEST_F(WatchTest, FollowsToTheEndAndSaysHowItEnded) {
  EXPECT_EQ(cli_.Run({"job", "watch", "job-a"}), kExitOk);
  EXPECT_EQ(cli_.out(), "");
  EXPECT_THAT(cli_.err(), HasSubstr("placed on 2 slots"));
  EXPECT_THAT(cli_.err(), HasSubstr("validation loss 2.1 at step 20"));
  EXPECT_THAT(cli_.err(), HasSubstr("docs (job-a) succeeded: registered docs@1, loss 2.2500"));
  EXPECT_THAT(cli_.err(), Not(HasSubstr("an old event")));
  EXPECT_THAT(cli_.err(), Not(HasSubstr("step 10")));  // steps are the progress line, not lines
}

TEST_F(WatchTest, GoesOnFromTheLastEventAfterABreak) {
  fake_.break_watch_after = 2;
  EXPECT_EQ(cli_.Run({"job", "watch", "job-a"}), kExitOk);
  EXPECT_THAT(fake_.watch_starts(), ElementsAre(4u, 6u));
  EXPECT_THAT(cli_.err(), HasSubstr("coordinator away, retrying\n"));
  EXPECT_THAT(cli_.err(), HasSubstr("coordinator is back\n"));
}

TEST_F(WatchTest, FailedJobIsExitOne) {
  v1::Job failed = JobAt(7, v1::Job::FAILED);
  failed.set_reason("rank 1 exited with code 3");
  fake_.events = {MakeEvent(5, "ended", "failed", failed)};
  EXPECT_EQ(cli_.Run({"job", "watch", "job-a"}), kExitFailed);
  EXPECT_THAT(cli_.err(), HasSubstr("failed: rank 1 exited with code 3"));
}

TEST_F(WatchTest, FinishedJobNeedsNoStream) {
  fake_.jobs["job-a"] = JobAt(40, v1::Job::SUCCEEDED);
  EXPECT_EQ(cli_.Run({"job", "watch", "job-a", "-o", "json"}), kExitOk);
  EXPECT_EQ(json::parse(cli_.out())["state"], "SUCCEEDED");
  EXPECT_TRUE(fake_.watch_starts().empty());
}

TEST_F(WatchTest, EventsAsLines) {
  EXPECT_EQ(cli_.Run({"job", "watch", "job-a", "-o", "jsonl"}), kExitOk);
  EXPECT_EQ(cli_.out_lines(), 4);
  EXPECT_EQ(json::parse(cli_.out().substr(0, cli_.out().find('\n')))["type"], "placed");
}

TEST_F(WatchTest, InterruptDetachesAndTheJobGoesOn) {
  fake_.events.pop_back();  // never ends
  std::thread interrupter([&] {
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (fake_.sleeping_watches() == 0 && std::chrono::steady_clock::now() < until)
      std::this_thread::yield();
    cli_.interrupted() = true;
  });
  int code = cli_.Run({"job", "watch", "job-a"});
  interrupter.join();
  EXPECT_EQ(code, kExitInterrupted);
  EXPECT_THAT(cli_.err(), HasSubstr("attune job watch job-a\n"));
  EXPECT_TRUE(fake_.cancelled().empty());
}

TEST_F(WatchTest, InterruptOfATaskCancelsIt) {
  fake_.events.clear();
  std::thread interrupter([&] {
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (fake_.sleeping_watches() == 0 && std::chrono::steady_clock::now() < until)
      std::this_thread::yield();
    cli_.interrupted() = true;
  });
  int code = cli_.Run({"model", "generate", "m", "--prompt", "x"});
  interrupter.join();
  EXPECT_EQ(code, kExitInterrupted);
  EXPECT_THAT(fake_.cancelled(), ElementsAre("job-submitted000"));
}

class PausedTaskTest : public ::testing::Test {
 protected:
  PausedTaskTest() : cli_(fake_.address()) {}
  v1::Job Task(v1::Job::State state, const std::string& reason) {
    v1::Job job = MakeJob("job-submitted000", state);
    job.set_reason(reason);
    return job;
  }
  int Generate(const std::vector<std::string>& more = {}) {
    std::vector<std::string> command = {"model", "generate", "m", "--prompt", "x"};
    command.insert(command.end(), more.begin(), more.end());
    return cli_.Run(command);
  }
  const std::string lost_ = "worker lost: a; it was tried again 10 times";
  const std::string full_ = "no space on the storage: a; goes on by itself when there is room";
  FakeCoordinator fake_;
  CliRunner cli_;
};

TEST_F(PausedTaskTest, OneThatWaitsForAPersonIsToldAndNotWaitedFor) {
  fake_.events = {MakeEvent(1, "paused", "", Task(v1::Job::PAUSED, lost_))};
  fake_.jobs["job-submitted000"] = Task(v1::Job::PAUSED, lost_);
  EXPECT_EQ(Generate(), kExitFailed);
  EXPECT_THAT(cli_.err(), HasSubstr(lost_));
  EXPECT_THAT(cli_.err(), HasSubstr("`attune job resume job-submitted000`"));
  EXPECT_THAT(cli_.err(), HasSubstr("`attune job cancel job-submitted000`"));
  EXPECT_TRUE(fake_.cancelled().empty());
}

TEST_F(PausedTaskTest, OneThatStreamsIsToldToo) {
  fake_.output_goes_on = true;
  fake_.jobs["job-submitted000"] = Task(v1::Job::PAUSED, lost_);
  cli_.SetTerminal(80);  // looks at once, not after some seconds
  EXPECT_EQ(Generate({"--stream"}), kExitFailed);
  EXPECT_THAT(cli_.err(), HasSubstr(lost_));
  EXPECT_THAT(cli_.err(), HasSubstr("`attune job resume job-submitted000`"));
}

TEST_F(PausedTaskTest, AStorageThatIsFullIsWaitedForAndTold) {
  fake_.events = {MakeEvent(1, "paused", "", Task(v1::Job::PAUSED, full_)),
                  MakeEvent(2, "ended", "", Task(v1::Job::SUCCEEDED, "done"))};
  cli_.SetTerminal(80);
  EXPECT_EQ(Generate({"-o", "jsonl"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.err(), HasSubstr("PAUSED: " + full_));
}

TEST_F(PausedTaskTest, OneThatWasResumedSinceIsWaitedFor) {
  v1::Job ended = Task(v1::Job::SUCCEEDED, "done");
  fake_.events = {MakeEvent(1, "paused", "", Task(v1::Job::PAUSED, lost_)),
                  MakeEvent(2, "ended", "", ended)};
  ended.set_sequence(2);
  fake_.jobs["job-submitted000"] = ended;
  EXPECT_EQ(Generate(), kExitOk);
}

TEST_F(WatchTest, TerminalGetsOneLineThatFits) {
  cli_.SetTerminal(80);
  EXPECT_EQ(cli_.Run({"job", "watch", "job-a", "--no-color"}), kExitOk);
  EXPECT_THAT(cli_.err(), HasSubstr("\r\033[K"));
}

TEST(ProgressView, EstimatesFromTheLastSteps) {
  ProgressView view;
  for (uint32_t step = 0; step <= 20; ++step)
    view.Observe(JobAt(step, v1::Job::RUNNING), 100 + step * 0.5);
  EXPECT_NEAR(view.SecondsLeft(JobAt(20, v1::Job::RUNNING)), 10, 1e-9);
  std::string plain = view.Plain(JobAt(20, v1::Job::RUNNING));
  EXPECT_EQ(plain, "docs RUNNING step 20/40, ETA 10s, loss 2.2500, 1.23k tokens/s, 2 ranks");
}

TEST(ProgressView, ARestartDoesNotSpoilTheEstimate) {
  ProgressView view;
  view.Observe(JobAt(0, v1::Job::RUNNING), 0);
  view.Observe(JobAt(30, v1::Job::RUNNING), 300);
  v1::Job again = JobAt(20, v1::Job::RUNNING);
  again.set_generation(2);
  view.Observe(again, 1000);
  EXPECT_LT(view.SecondsLeft(again), 0);
  again.set_step(21);
  view.Observe(again, 1001);
  EXPECT_NEAR(view.SecondsLeft(again), 19, 1e-9);
}

TEST(ProgressView, SaysHowFarTheDataIsPrepared) {
  v1::Job job = JobAt(0, v1::Job::PREPARING);
  job.mutable_progress()->set_phase("tokenizing");
  job.mutable_progress()->set_done(1'200'000);
  job.mutable_progress()->set_total(2'000'000);
  ProgressView view;
  EXPECT_EQ(view.Plain(job), "docs PREPARING: tokenizing 1200000/2000000 examples");
  job.mutable_progress()->set_seconds_left(80);
  EXPECT_EQ(view.Plain(job), "docs PREPARING: tokenizing 1200000/2000000 examples, ETA 1m20s");
  for (int width : {40, 79, 119}) {
    EXPECT_LE(DisplayWidth(view.Drawn(job, 20, width, false)), static_cast<size_t>(width));
  }
  EXPECT_THAT(view.Drawn(job, 20, 119, false), HasSubstr("tokenizing 1200000/2000000 examples"));
  EXPECT_THAT(view.Drawn(job, 20, 119, false), HasSubstr("ETA 1m20s"));
  EXPECT_THAT(JobCard(job, {}), HasSubstr("1200000/2000000 examples"));
  EXPECT_THAT(JobCard(job, {}), HasSubstr("60%  ETA 1m20s"));
}

TEST(ProgressView, DrawnLineFitsAnyWidth) {
  ProgressView view;
  view.Observe(JobAt(10, v1::Job::RUNNING), 10);
  view.Observe(JobAt(20, v1::Job::RUNNING), 20);
  for (int width : {40, 60, 79, 119}) {
    EXPECT_LE(DisplayWidth(view.Drawn(JobAt(20, v1::Job::RUNNING), 20, width, false)),
              static_cast<size_t>(width));
  }
  EXPECT_THAT(view.Drawn(JobAt(20, v1::Job::RUNNING), 20, 119, false), HasSubstr("ETA 20s"));
  v1::Job waiting = JobAt(0, v1::Job::QUEUED);
  waiting.set_reason("waits for 2 slots: 1 of 2 is free, and some more text that is long");
  EXPECT_LE(DisplayWidth(view.Drawn(waiting, 20, 60, false)), 60u);
}

}  // namespace
}  // namespace attune::cli
