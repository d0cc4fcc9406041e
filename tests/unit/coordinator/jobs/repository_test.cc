#include "coordinator/jobs/repository.h"

#include <gtest/gtest.h>

#include "coordinator/jobs/schema.h"
#include "tests/support/temporary_folder.h"

namespace attune::jobs {
namespace {

class RepositoryTest : public testing::Test {
 protected:
  void SetUp() override {
    auto database = Database::Open(folder_.path() / "attune.db", Migrations(), &clock_);
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    database_ = std::move(*database);
  }
  void Write(const std::function<void(Transaction&)>& fn) {
    Status status = database_->Write([&](Transaction& transaction) {
      fn(transaction);
      return Status();
    });
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  static JobRecord Record(const std::string& id, v1::Job::State state) {
    JobRecord record;
    record.job.set_id(id);
    record.job.set_name("name-" + id);
    record.job.set_kind(v1::Job::TRAIN);
    record.job.set_state(state);
    return record;
  }

  TemporaryFolder folder_;
  FakeClock clock_{TimePoint(std::chrono::seconds(1000))};
  std::unique_ptr<Database> database_;
};

TEST_F(RepositoryTest, JobsComeBackAsTheyWere) {
  Write([&](Transaction& transaction) {
    JobRecord record = Record("job-1", v1::Job::QUEUED);
    record.spec_source = "name: x # it's \"quoted\"\n";
    InsertJob(transaction, &record);
    EXPECT_EQ(record.number, 1);
    record.job.set_state(v1::Job::RUNNING);
    record.phase = Phase::kWorking;
    record.queued = TimePoint(std::chrono::seconds(5));
    record.pause_requested = record.resume_requested = true;
    record.checkpoint_step = 20;
    record.output_bytes = 123;
    SaveJob(transaction, record);
    const std::vector<JobRecord> loaded = LoadOpenJobs(transaction);
    ASSERT_EQ(loaded.size(), 1u);
    const JobRecord& r = loaded.front();
    EXPECT_EQ(r.job.SerializeAsString(), record.job.SerializeAsString());
    EXPECT_EQ(r.spec_source, record.spec_source);
    EXPECT_EQ(r.phase, Phase::kWorking);
    EXPECT_EQ(r.queued, record.queued);
    EXPECT_TRUE(r.pause_requested);
    EXPECT_TRUE(r.resume_requested);
    EXPECT_EQ(r.checkpoint_step, 20u);
    EXPECT_EQ(r.output_bytes, 123u);
  });
}

TEST_F(RepositoryTest, ModelsInUseAreThoseOfOpenJobs) {
  Write([&](Transaction& transaction) {
    for (const auto& [id, state, base] : {std::tuple("job-1", v1::Job::RUNNING, "docs@1"),
                                          std::tuple("job-2", v1::Job::PAUSED, "docs@1"),
                                          std::tuple("job-3", v1::Job::SUCCEEDED, "docs@2"),
                                          std::tuple("job-4", v1::Job::FAILED, "docs@3")}) {
      JobRecord record = Record(id, state);
      record.job.set_base(base);
      for (const char* adapter : {"a@1", base}) record.job.add_adapters(adapter);
      InsertJob(transaction, &record);
    }
    const std::map<std::string, std::string> expected = {
        {"a@1", "job-1 is RUNNING; job-2 is PAUSED"},
        {"docs@1", "job-1 is RUNNING; job-2 is PAUSED"}};
    EXPECT_EQ(ModelsInUse(transaction), expected);
  });
}

TEST_F(RepositoryTest, APageIsBoundInBytesAndHasNoTasks) {
  Write([&](Transaction& transaction) {
    for (int i = 1; i <= 6; ++i) {
      JobRecord record = Record("job-" + std::to_string(i), v1::Job::QUEUED);
      record.job.set_reason(std::string(1 << 20, 'r'));
      record.job.mutable_task()->mutable_generate()->add_prompts(std::string(4 << 20, 'p'));
      InsertJob(transaction, &record);
    }
    v1::ListJobsRequest request;
    size_t jobs = 0;
    do {
      auto response = ListJobs(transaction, request);
      ASSERT_TRUE(response.ok());
      EXPECT_LT(response->ByteSizeLong(), 4u << 20);
      for (const v1::Job& job : response->jobs()) EXPECT_FALSE(job.has_task());
      jobs += static_cast<size_t>(response->jobs_size());
      request.set_page_token(response->next_page_token());
    } while (!request.page_token().empty());
    EXPECT_EQ(jobs, 6u);
    EXPECT_TRUE(FindJob(transaction, "job-1")->has_task());
  });
}

TEST_F(RepositoryTest, ListsNewestFirstInPages) {
  Write([&](Transaction& transaction) {
    for (int i = 1; i <= 5; ++i) {
      JobRecord record =
          Record("job-" + std::to_string(i), i % 2 == 0 ? v1::Job::FAILED : v1::Job::QUEUED);
      InsertJob(transaction, &record);
    }
    v1::ListJobsRequest request;
    request.set_page_size(2);
    std::string ids;
    for (int page = 0; page < 3; ++page) {
      auto response = ListJobs(transaction, request);
      ASSERT_TRUE(response.ok());
      for (const v1::Job& job : response->jobs()) ids += job.id() + " ";
      request.set_page_token(response->next_page_token());
    }
    EXPECT_EQ(ids, "job-5 job-4 job-3 job-2 job-1 ");
    EXPECT_TRUE(request.page_token().empty());
    request.add_states(v1::Job::FAILED);
    EXPECT_EQ(ListJobs(transaction, request)->jobs_size(), 2);
    request.set_page_token("nonsense");
    EXPECT_EQ(ListJobs(transaction, request).status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(CountJobs(transaction)["TRAIN"]["FAILED"], 2u);
    EXPECT_EQ(CountJobs(transaction)["EMBED"]["QUEUED"], 0u);
    EXPECT_EQ(LoadOpenJobs(transaction).size(), 3u);
    EXPECT_EQ(FindJob(transaction, "name-job-2")->id(), "job-2");
    EXPECT_EQ(FindJob(transaction, "nothing").status().code(), StatusCode::kNotFound);
  });
}

TEST_F(RepositoryTest, TrainersComeBackAsTheyWere) {
  Write([&](Transaction& transaction) {
    JobRecord job = Record("job-1", v1::Job::RUNNING);
    InsertJob(transaction, &job);
    TrainerRecord trainer{"job-1-g1-r0", "job-1", 1, 0, "a", 2, TrainerState::kRunning, 7, "t", {}};
    SaveTrainer(transaction, trainer);
    EXPECT_FALSE(LoadLiveTrainers(transaction)[0].failed.has_value());
    trainer.failed.emplace().set_task_id("job-1-g1-train");
    SaveTrainer(transaction, trainer);
    const std::vector<TrainerRecord> loaded = LoadLiveTrainers(transaction);
    ASSERT_EQ(loaded.size(), 1u);
    EXPECT_EQ(loaded[0].slot, 2u);
    EXPECT_EQ(loaded[0].last_sequence, 7u);
    EXPECT_EQ(loaded[0].done_task_id, "t");
    ASSERT_TRUE(loaded[0].failed.has_value());
    EXPECT_EQ(loaded[0].failed->task_id(), "job-1-g1-train");
  });
}

TEST_F(RepositoryTest, AJobThatCannotBeReadHidesNoOther) {
  Write([&](Transaction& transaction) {
    for (int i = 1; i <= 4; ++i) {
      JobRecord record = Record("job-" + std::to_string(i), v1::Job::QUEUED);
      InsertJob(transaction, &record);
    }
    transaction.session() << "UPDATE jobs SET job = 'garbage!' WHERE number = 3";
    EXPECT_EQ(LoadOpenJobs(transaction).size(), 3u);
    v1::ListJobsRequest request;
    request.set_page_size(2);
    auto page = ListJobs(transaction, request);
    ASSERT_TRUE(page.ok()) << page.status().ToString();
    ASSERT_EQ(page->jobs_size(), 1);
    EXPECT_EQ(page->jobs(0).id(), "job-4");
    request.set_page_token(page->next_page_token());
    EXPECT_EQ(ListJobs(transaction, request)->jobs_size(), 2);
    EXPECT_EQ(FindJob(transaction, "job-3").status().code(), StatusCode::kDataLoss);
  });
}

TEST_F(RepositoryTest, OfARedoneStepTheLastIsKept) {
  Write([&](Transaction& transaction) {
    JobRecord record = Record("job-1", v1::Job::RUNNING);
    InsertJob(transaction, &record);
    for (double loss : {3.0, 2.0}) {
      v1::MetricPoint point;
      point.set_step(4);
      point.set_loss(loss);
      point.set_seconds(1.5);
      SaveMetric(transaction, "job-1", point);
    }
    v1::MetricPoint evaluation;
    evaluation.set_step(4);
    evaluation.set_validation_loss(2.5);
    SaveMetric(transaction, "job-1", evaluation);
    MetricPosition position;
    auto points = ReadMetrics(transaction, "job-1", &position, 10);
    ASSERT_EQ(points.size(), 2u);
    EXPECT_EQ(points[0].loss(), 2.0);
    EXPECT_EQ(points[1].validation_loss(), 2.5);
    EXPECT_TRUE(ReadMetrics(transaction, "job-1", &position, 10).empty());
    EXPECT_EQ(AppliedSeconds(transaction, "job-1"), 1.5);
  });
}

}  // namespace
}  // namespace attune::jobs
