#include "coordinator/jobs/checkpoints.h"

#include <gtest/gtest.h>

#include <fstream>

#include "coordinator/jobs/record.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/schema.h"
#include "tests/support/temporary_folder.h"

namespace attune::jobs {
namespace {

namespace fs = std::filesystem;
constexpr TimePoint kEnded{std::chrono::hours(1000)};
constexpr Duration kKept = std::chrono::hours(48);

v1::Job EndedJob(const std::string& id, v1::Job::State state) {
  v1::Job job;
  job.set_id(id);
  job.set_state(state);
  SetTimestamp(job.mutable_ended(), kEnded);
  return job;
}

TEST(CheckpointsAreDue, AtOnceAfterSuccessLaterAfterFailureNeverBefore) {
  const TimePoint early = kEnded + kKept - Duration(1), late = kEnded + kKept;
  EXPECT_TRUE(CheckpointsAreDue(EndedJob("j", v1::Job::SUCCEEDED), kEnded, kKept));
  for (v1::Job::State state : {v1::Job::FAILED, v1::Job::CANCELLED}) {
    EXPECT_FALSE(CheckpointsAreDue(EndedJob("j", state), early, kKept));
    EXPECT_TRUE(CheckpointsAreDue(EndedJob("j", state), late, kKept));
  }
  for (v1::Job::State state :
       {v1::Job::QUEUED, v1::Job::PREPARING, v1::Job::RUNNING, v1::Job::PAUSED}) {
    EXPECT_FALSE(CheckpointsAreDue(EndedJob("j", state), late, kKept));
  }
}

TEST(OutputIsDue, WhenAPersonHadItForAWhile) {
  const TimePoint early = kEnded + kKept - Duration(1), late = kEnded + kKept;
  v1::Job job = EndedJob("j", v1::Job::SUCCEEDED);
  job.set_kind(v1::Job::EVALUATE);
  EXPECT_FALSE(OutputIsDue(job, early, kKept));
  EXPECT_TRUE(OutputIsDue(job, late, kKept));
  job.set_update("update-1");
  EXPECT_FALSE(OutputIsDue(job, late, kKept)) << "the update's to remove";
  job.clear_update();
  job.set_kind(v1::Job::EMBED);
  EXPECT_FALSE(OutputIsDue(job, late, kKept)) << "the stream's to remove";
}

TEST(HasCheckpoint, CountsOnesThatAreWhole) {
  TemporaryFolder folder;
  EXPECT_FALSE(HasCheckpoint(folder.path() / "checkpoints"));
  fs::create_directories(folder.path() / ".step-00000005.tmp.1");
  EXPECT_FALSE(HasCheckpoint(folder.path()));
  fs::create_directories(folder.path() / "step-00000005");
  EXPECT_TRUE(HasCheckpoint(folder.path()));
  std::ofstream(folder.path() / "file") << "";
  EXPECT_TRUE(HasCheckpoint(folder.path() / "file")) << "it cannot be seen";
}

class SweepTest : public testing::Test {
 protected:
  void SetUp() override {
    auto database = Database::Open(folder_.path() / "attune.db", Migrations(), &clock_);
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    database_ = std::move(*database);
  }
  // A job in this state with a checkpoint; without a state only the folder.
  void Add(const std::string& id, std::optional<v1::Job::State> state) {
    const fs::path step = Checkpoints(id) / "step-00000020";
    fs::create_directories(step);
    std::ofstream(step / "state.json") << "{}";
    fs::create_directories(Best(id) / "step-00000010");
    if (!state) return;
    ASSERT_TRUE(database_
                    ->Write([&](Transaction& transaction) {
                      JobRecord record;
                      record.job = EndedJob(id, *state);
                      InsertJob(transaction, &record);
                      return Status();
                    })
                    .ok());
  }
  fs::path Best(const std::string& id) const { return RunFolder(folder_.path(), id) / "best"; }
  fs::path Checkpoints(const std::string& id) const {
    return RunFolder(folder_.path(), id) / "checkpoints";
  }

  TemporaryFolder folder_;
  FakeClock clock_{kEnded};
  std::unique_ptr<Database> database_;
};

TEST_F(SweepTest, RemovesWhatIsDueAndNothingElse) {
  Add("done", v1::Job::SUCCEEDED);
  Add("failed", v1::Job::FAILED);
  Add("running", v1::Job::RUNNING);
  Add("paused", v1::Job::PAUSED);
  Add("strange", std::nullopt);
  Add("plain", v1::Job::SUCCEEDED);
  std::ofstream(RunFolder(folder_.path(), "plain") / "output.jsonl") << "{}";
  SweepCheckpoints(database_.get(), folder_.path(), kEnded, kKept);
  EXPECT_FALSE(fs::exists(RunFolder(folder_.path(), "done"))) << "nothing was left in it";
  EXPECT_TRUE(fs::exists(Checkpoints("failed")));
  EXPECT_TRUE(fs::exists(Best("failed")));
  EXPECT_TRUE(fs::exists(RunFolder(folder_.path(), "plain") / "output.jsonl"));
  EXPECT_FALSE(fs::exists(Checkpoints("plain")));
  SweepCheckpoints(database_.get(), folder_.path(), kEnded + kKept, kKept);
  EXPECT_FALSE(fs::exists(RunFolder(folder_.path(), "plain") / "output.jsonl"));
  EXPECT_FALSE(fs::exists(Checkpoints("failed")));
  EXPECT_FALSE(fs::exists(Best("failed")));
  for (const char* kept : {"running", "paused", "strange"}) {
    EXPECT_TRUE(fs::exists(Checkpoints(kept) / "step-00000020/state.json")) << kept;
    EXPECT_TRUE(fs::exists(Best(kept))) << kept;
  }
}

TEST_F(SweepTest, WhatAnEvaluationLeftGoesWithTheJobsEnd) {
  const auto measured = [&](const std::string& id) {
    return RunFolder(folder_.path(), id) / "measured";
  };
  for (const auto& [id, state] :
       {std::pair("job-failed", v1::Job::FAILED), std::pair("job-running", v1::Job::RUNNING)}) {
    Add(id, state);
    fs::create_directories(measured(id) / "model");
  }
  SweepCheckpoints(database_.get(), folder_.path(), kEnded, kKept);
  EXPECT_FALSE(fs::exists(measured("job-failed")));
  EXPECT_TRUE(fs::exists(measured("job-running") / "model"));
}

TEST_F(SweepTest, WhatATrainerLeftUnfinishedGoesWithTheJobsEnd) {
  for (const auto& [id, state] : {std::pair("job-succeeded", v1::Job::SUCCEEDED),
                                  std::pair("job-cancelled", v1::Job::CANCELLED),
                                  std::pair("job-running", v1::Job::RUNNING)}) {
    Add(id, state);
    const fs::path run = RunFolder(folder_.path(), id);
    fs::create_directories(run / ".output.tmp.2/part");
    fs::create_directories(run / "ledger");
    std::ofstream(run / "generation.tmp.0123456789abcdef") << "2";
    std::ofstream(run / "generation") << "1";
  }
  SweepCheckpoints(database_.get(), folder_.path(), kEnded, kKept);
  for (const char* id : {"job-succeeded", "job-cancelled"}) {
    const fs::path run = RunFolder(folder_.path(), id);
    EXPECT_FALSE(fs::exists(run / ".output.tmp.2")) << id;
    EXPECT_FALSE(fs::exists(run / "generation.tmp.0123456789abcdef")) << id;
    EXPECT_TRUE(fs::exists(run / "generation")) << id;
    EXPECT_TRUE(fs::exists(run / "ledger")) << id;
  }
  EXPECT_TRUE(fs::exists(RunFolder(folder_.path(), "job-running") / ".output.tmp.2/part"));
}

TEST_F(SweepTest, OnlyTheOutputOfACancelledJobGoes) {
  const auto output = [&](const std::string& id) {
    return RunFolder(folder_.path(), id) / "output";
  };
  for (const auto& [id, state] :
       {std::pair("job-succeeded", v1::Job::SUCCEEDED), std::pair("job-failed", v1::Job::FAILED),
        std::pair("job-cancelled", v1::Job::CANCELLED),
        std::pair("job-running", v1::Job::RUNNING)}) {
    Add(id, state);
    fs::create_directories(output(id) / "part");
  }
  SweepCheckpoints(database_.get(), folder_.path(), kEnded, kKept);
  EXPECT_TRUE(fs::exists(output("job-cancelled"))) << "for a while, as its checkpoints";
  SweepCheckpoints(database_.get(), folder_.path(), kEnded + kKept, kKept);
  EXPECT_FALSE(fs::exists(output("job-cancelled")));
  for (const char* kept : {"job-succeeded", "job-failed", "job-running"}) {
    EXPECT_TRUE(fs::exists(output(kept) / "part")) << kept;
  }
}

}  // namespace
}  // namespace attune::jobs
