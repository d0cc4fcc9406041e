#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/jobs/checkpoints.h"
#include "tests/unit/coordinator/jobs/fake_cluster.h"

namespace attune::jobs {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class ExplainFailedTest : public testing::Test {
 protected:
  // A job that is not restarted, with a checkpoint of step 5, which fails at step 7 or later.
  std::string Fail(v1::TaskFailed::Kind kind) {
    cluster_.AddWorker("a", 1);
    auto request = cluster_.TrainRequest(1, 1, 30);
    request.mutable_spec()->mutable_retry()->set_max_restarts(0);
    const auto job = cluster_.controller().Submit(request);
    EXPECT_TRUE(job.ok()) << job.status().ToString();
    const std::string id = job.ok() ? job->id() : "";
    EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
    cluster_.FailTask(id + "-g1-r0", kind, "the loss became nan");
    EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::FAILED));
    return id;
  }
  std::vector<std::string> Unblocks(const std::string& id) {
    const auto why = cluster_.controller().Explain(id);
    EXPECT_TRUE(why.ok()) << why.status().ToString();
    if (!why.ok()) return {};
    return {why->unblocks().begin(), why->unblocks().end()};
  }
  std::filesystem::path Run(const std::string& id) { return RunFolder(cluster_.storage(), id); }
  FakeCluster cluster_;
};

TEST_F(ExplainFailedTest, WhatFailsAgainIsToBeSubmittedAgain) {
  const std::string id = Fail(v1::TaskFailed::INVALID);
  EXPECT_THAT(
      Unblocks(id),
      ElementsAre("submit it again with the change: what a job was submitted with is fixed, "
                  "and resumed it would fail the same way"));
  std::filesystem::create_directories(Run(id) / "best/step-00000004");
  EXPECT_THAT(Unblocks(id), Contains(HasSubstr((Run(id) / "best").string())));
  cluster_.StopController();
  cluster_.StartController();
  EXPECT_THAT(Unblocks(id), Contains(HasSubstr("submit it again"))) << "it is remembered";
}

TEST_F(ExplainFailedTest, WantOfMemoryMayBeMendedByAWorker) {
  EXPECT_THAT(Unblocks(Fail(v1::TaskFailed::NO_MEMORY)),
              ElementsAre(HasSubstr("or start a worker with more memory")));
}

TEST_F(ExplainFailedTest, AnotherCauseIsMendedAndTheJobGoesOn) {
  const std::string id = Fail(v1::TaskFailed::INTERNAL);
  EXPECT_THAT(Unblocks(id), ElementsAre("mend the cause, then `attune job resume " + id +
                                        "`: it goes on from its last checkpoint, of step 5"));
}

TEST_F(ExplainFailedTest, WithoutItsCheckpointsItStartsFromStepZero) {
  const std::string id = Fail(v1::TaskFailed::INTERNAL);
  std::filesystem::remove_all(Run(id) / "checkpoints");
  EXPECT_THAT(Unblocks(id),
              ElementsAre(HasSubstr("it starts from step 0, as its checkpoints were removed")));
  v1::ResumeJobRequest resume;
  resume.set_id(id);
  const auto resumed = cluster_.controller().Resume(resume);
  ASSERT_TRUE(resumed.ok()) << resumed.status().ToString();
  EXPECT_EQ(resumed->step(), 0u);
  std::vector<std::string> told;
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  for (const Event& event : cluster_.Events("job", id)) {
    if (event.type == "resumed" || event.type == "started") told.push_back(event.message);
  }
  EXPECT_THAT(told, ElementsAre("starts",
                                "resumed by the user; it starts from step 0, as its checkpoints "
                                "were removed",
                                "starts from step 0: it has no checkpoint"));
}

}  // namespace
}  // namespace attune::jobs
