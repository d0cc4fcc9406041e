#include "coordinator/jobs/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/jobs/checkpoints.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/schema.h"
#include "tests/unit/ledger/run.h"

namespace attune::jobs {
namespace {

namespace fs = std::filesystem;
using ledger::DigestText;
using ledger::Planned;
using ::testing::HasSubstr;

// A job of two attempts: the first was lost after step 4, the second went on from step 2.
class LedgerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto database = Database::Open(folder_.path() / "attune.db", Migrations(), &clock_);
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    database_ = std::move(*database);
    reader_ = std::make_unique<LedgerReader>(database_.get(), folder_.path());
    job_.set_id("job-1");
    job_.set_kind(v1::Job::TRAIN);
    job_.set_state(v1::Job::SUCCEEDED);
    job_.set_generation(2);
    fs::create_directories(Run() / "ledger");
    ASSERT_TRUE(ledger::WritePlan(ledger::PlanPath(Run())).ok());
    Record({1, 2, 0, 0, ledger::kDigest}, {1, 2, 3, 4});
    Record({2, 1, 2, 1, ledger::kDigest}, {3, 4, 5});
    const Status stored = database_->Write([&](Transaction& transaction) {
      JobRecord record;
      record.job = job_;
      InsertJob(transaction, &record);
      StartAttempt(transaction, "job-1", 1, 2);
      EndAttempt(transaction, "job-1", 1, "requeued: rank 1 was killed by signal 9");
      StartAttempt(transaction, "job-1", 2, 1);
      for (uint32_t step = 1; step <= 5; ++step) {
        Report(transaction, step, step <= 2 ? 1 : 2, DigestText(Planned(step).digest));
      }
      return Status();
    });
    ASSERT_TRUE(stored.ok()) << stored.ToString();
  }

  fs::path Run() const { return RunFolder(folder_.path(), "job-1"); }

  void Record(const ledger::Attempt& attempt, const std::vector<uint32_t>& steps) {
    auto writer = ledger::StepLogWriter::Create(Run(), attempt);
    ASSERT_TRUE(writer.ok()) << writer.status().ToString();
    for (const uint32_t step : steps) ASSERT_TRUE(writer->Add({step, Planned(step)}).ok());
  }

  static void Report(Transaction& transaction, uint32_t step, uint32_t generation,
                     const std::string& digest) {
    v1::MetricPoint point;
    point.set_step(step);
    point.set_loss(1);
    point.set_generation(generation);
    point.set_examples_digest(digest);
    SaveMetric(transaction, "job-1", point);
  }

  v1::JobLedger Ledger(const v1::GetLedgerRequest& request = {}) {
    auto read = reader_->Read(job_, request);
    EXPECT_TRUE(read.ok()) << read.status().ToString();
    return read.ok() ? *read : v1::JobLedger();
  }
  Status Refused() { return reader_->Read(job_, {}).status(); }

  TemporaryFolder folder_;
  FakeClock clock_{TimePoint(std::chrono::seconds(1000))};
  std::unique_ptr<Database> database_;
  std::unique_ptr<LedgerReader> reader_;
  v1::Job job_;
};

TEST_F(LedgerTest, ProvesEveryUseAndSaysWhatWasDoneAgain) {
  const v1::JobLedger ledger = Ledger();
  EXPECT_EQ(ledger.examples(), 8u);
  EXPECT_EQ(ledger.used(), 8u);
  EXPECT_EQ(ledger.missing(), 0u);
  EXPECT_EQ(ledger.repeated(), 0u);
  EXPECT_EQ(ledger.to_come(), 0u);
  EXPECT_EQ(ledger.examples_an_epoch(), 5u);
  EXPECT_EQ(ledger.reported_steps(), 5u);
  EXPECT_EQ(ledger.problems_size(), 0);
  ASSERT_EQ(ledger.epochs_size(), 2);
  EXPECT_EQ(ledger.epochs(1).used(), 3u);
  ASSERT_EQ(ledger.applied_size(), 3);
  EXPECT_TRUE(ledger.applied(0).kept());
  EXPECT_FALSE(ledger.applied(1).kept());
  EXPECT_EQ(ledger.applied(1).first(), 3u);
  EXPECT_EQ(ledger.applied(1).why(), "requeued: rank 1 was killed by signal 9");
  EXPECT_EQ(ledger.applied(2).ranks(), 1u);
}

TEST_F(LedgerTest, AReportThatSaysOtherwiseIsAProblem) {
  ASSERT_TRUE(database_
                  ->Write([&](Transaction& transaction) {
                    Report(transaction, 4, 2, DigestText(1));
                    Report(transaction, 5, 1, DigestText(2));  // of an attempt that does not count
                    return Status();
                  })
                  .ok());
  const v1::JobLedger ledger = Ledger();
  EXPECT_EQ(ledger.used(), 8u);
  EXPECT_EQ(ledger.reported_steps(), 3u);
  ASSERT_EQ(ledger.problems_size(), 1);
  EXPECT_EQ(ledger.problems(0).kind(), v1::LedgerProblem::REPORTED_OTHERWISE);
  EXPECT_EQ(ledger.problems(0).step(), 4u);
  EXPECT_EQ(ledger.problems(0).planned_examples(), Planned(4).examples);
  EXPECT_EQ(ledger.problems(0).planned_digest(), DigestText(Planned(4).digest));
  EXPECT_EQ(ledger.problems(0).applied_digest(), DigestText(Planned(4).digest));
}

TEST_F(LedgerTest, WhatIsMissingIsListedPageByPage) {
  Record({2, 1, 2, 1, ledger::kDigest}, {3, 5});  // step 4 is lost: two examples
  v1::GetLedgerRequest request;
  request.set_list(v1::GetLedgerRequest::MISSING);
  request.set_page_size(1);
  std::vector<std::string> ids;
  do {
    const v1::JobLedger page = Ledger(request);
    EXPECT_EQ(page.missing(), 2u);
    for (const v1::LedgerUse& use : page.uses()) {
      EXPECT_EQ(use.step(), 4u);
      EXPECT_EQ(use.epoch(), 2u);
      ids.push_back(use.id().substr(0, 2));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(ids, testing::ElementsAre("11", "33"));
  EXPECT_EQ(reader_->files_read(), 1u);
  request.set_page_token("x");
  EXPECT_EQ(reader_->Read(job_, request).status().field(), "page_token");
}

TEST_F(LedgerTest, FilesAreReadAgainWhenOneOfThemHasChanged) {
  EXPECT_EQ(Ledger().used(), 8u);
  EXPECT_EQ(Ledger().used(), 8u);
  EXPECT_EQ(reader_->files_read(), 1u);
  Record({2, 1, 2, 1, ledger::kDigest}, {3, 5});
  EXPECT_EQ(Ledger().used(), 6u);
  EXPECT_EQ(reader_->files_read(), 2u);
  job_.set_state(v1::Job::FAILED);
  EXPECT_EQ(Ledger().missing(), 2u);
  EXPECT_EQ(reader_->files_read(), 3u);
}

TEST_F(LedgerTest, OfFewJobsIsKeptWhatWasRead) {
  const std::string first = job_.id();
  for (int i = 0; i < 9; ++i) {
    job_.set_id("copy-" + std::to_string(i));
    fs::copy(RunFolder(folder_.path(), first), RunFolder(folder_.path(), job_.id()),
             fs::copy_options::recursive);
    EXPECT_EQ(Ledger().used(), 8u);
    EXPECT_EQ(Ledger().used(), 8u);
  }
  EXPECT_EQ(reader_->files_read(), 9u);
  job_.set_id("copy-0");
  EXPECT_EQ(Ledger().used(), 8u);
  EXPECT_EQ(reader_->files_read(), 10u);
}

TEST_F(LedgerTest, OfLongJobsFewerAreKept) {
  LedgerReader reader(database_.get(), folder_.path(), /*steps_kept=*/11);  // of two jobs
  const auto read = [&](const std::string& id) {
    job_.set_id(id);
    EXPECT_TRUE(reader.Read(job_, {}).ok());
    return reader.files_read();
  };
  for (const char* copy : {"copy-1", "copy-2"}) {
    fs::copy(Run(), RunFolder(folder_.path(), copy), fs::copy_options::recursive);
  }
  EXPECT_EQ(read("job-1"), 1u);
  EXPECT_EQ(read("copy-1"), 2u);
  EXPECT_EQ(read("job-1"), 2u);
  EXPECT_EQ(read("copy-2"), 3u);
  EXPECT_EQ(read("job-1"), 3u);
  EXPECT_EQ(read("copy-1"), 4u);
  // The last one, however long it is.
  LedgerReader short_reader(database_.get(), folder_.path(), /*steps_kept=*/1);
  for (int page = 0; page < 2; ++page) EXPECT_TRUE(short_reader.Read(job_, {}).ok());
  EXPECT_EQ(short_reader.files_read(), 1u);
}

TEST_F(LedgerTest, WhatIsNotThereIsSaid) {
  job_.set_generation(3);
  EXPECT_THAT(Refused().message(), HasSubstr("the record of attempt 3"));
  fs::remove(ledger::PlanPath(Run()));
  EXPECT_EQ(Refused().code(), StatusCode::kNotFound);
  EXPECT_THAT(Refused().message(), HasSubstr("has no ledger"));
  job_.set_kind(v1::Job::EMBED);
  EXPECT_EQ(Refused().code(), StatusCode::kInvalidArgument);
}

// The evidence outlives the job.
TEST_F(LedgerTest, HousekeepingLeavesIt) {
  fs::create_directories(Run() / "checkpoints/step-00000002");
  ASSERT_TRUE(RemoveCheckpoints(database_.get(), folder_.path(), "job-1",
                                clock_.Now() + std::chrono::hours(1000), Duration())
                  .ok());
  EXPECT_FALSE(fs::exists(Run() / "checkpoints"));
  EXPECT_EQ(Ledger().used(), 8u);
}

}  // namespace
}  // namespace attune::jobs
