// Which adapters a GENERATE job may have, and which versions it keeps.

#include "coordinator/jobs/adapters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/jobs/fake_cluster.h"

namespace attune::jobs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AdaptersTest : public ::testing::Test {
 protected:
  static v1::SubmitJobRequest Asking(const std::string& model,
                                     const std::vector<std::string>& adapters) {
    v1::SubmitJobRequest request;
    request.set_kind(v1::Job::GENERATE);
    v1::GenerateRequest* generate = request.mutable_task()->mutable_generate();
    generate->set_model(model);
    generate->set_max_tokens(5);
    for (const std::string& adapter : adapters) {
      v1::GeneratePrompt* prompt = generate->add_inputs();
      prompt->set_text("a");
      prompt->set_adapter(adapter);
    }
    return request;
  }

  std::vector<v1::GeneratePrompt> Inputs(const std::string& id) {
    const v1::Job job = cluster_.Job(id);
    const auto& inputs = job.task().generate().inputs();
    return {inputs.begin(), inputs.end()};
  }

  FakeCluster cluster_;
};

TEST_F(AdaptersTest, VersionsAreKeptAndTheTrainerGetsTheirFiles) {
  cluster_.AddWorker("a", 1);
  cluster_.steps_flow = false;
  const auto job = cluster_.controller().Submit(
      Asking("tiny", {"adapter-b", "", "adapter-a@champion", "tiny@1", "adapter-b@1"}));
  ASSERT_TRUE(job.ok()) << job.status().ToString();
  EXPECT_THAT(job->adapters(), ElementsAre("adapter-a@1", "adapter-b@1"));
  std::vector<std::string> pinned;
  for (const v1::GeneratePrompt& input : Inputs(job->id())) pinned.push_back(input.adapter());
  EXPECT_THAT(pinned, ElementsAre("adapter-b@1", "", "adapter-a@1", "", "adapter-b@1"));

  const std::string trainer = job->id() + "-g1-r0";
  ASSERT_TRUE(cluster_.RunUntil([&] {
    return cluster_.Trainer(trainer) != nullptr && cluster_.Trainer(trainer)->task.has_value();
  }));
  const v1::TrainerTask& task = *cluster_.Trainer(trainer)->task;
  ASSERT_EQ(task.adapters_size(), 2);
  EXPECT_EQ(task.adapters(1).reference(), "adapter-b@1");
  ASSERT_EQ(task.adapters(1).adapter_base_size(), 1);
  EXPECT_EQ(task.adapters(1).adapter_base(0).reference(), "tiny@1");
  EXPECT_EQ(task.base().reference(), "tiny@1");
}

// Beside an adapter answer those of its base.
TEST_F(AdaptersTest, TheModelMayBeAnAdapter) {
  const auto job = cluster_.controller().Submit(Asking("adapter-a", {"adapter-b", "adapter-a"}));
  ASSERT_TRUE(job.ok()) << job.status().ToString();
  EXPECT_EQ(job->base(), "adapter-a@1");
  EXPECT_THAT(job->adapters(), ElementsAre("adapter-b@1"));
  EXPECT_EQ(Inputs(job->id())[1].adapter(), "");
}

TEST_F(AdaptersTest, WhatIsNoAdapterOfTheBaseIsRefused) {
  const auto refused = [&](const std::string& model, const std::string& adapter) {
    const auto job = cluster_.controller().Submit(Asking(model, {"", adapter}));
    EXPECT_EQ(job.status().field(), "adapter") << adapter;
    return job.ok() ? "" : job.status().message();
  };
  EXPECT_THAT(refused("adapter-a", "tiny"),
              HasSubstr("tiny@1 is no adapter: beside adapter-a@1 answer adapters of tiny@1"));
  EXPECT_THAT(refused("tiny", "other-adapter-a"),
              HasSubstr("other-adapter-a@1 is an adapter of other@1"));
  EXPECT_THAT(refused("tiny", "absent"), HasSubstr("no model 'absent'"));
  std::vector<std::string> many;
  for (int i = 0; i < 65; ++i) many.push_back("adapter-" + std::to_string(i));
  const auto job = cluster_.controller().Submit(Asking("tiny", many));
  EXPECT_THAT(job.status().message(), HasSubstr("at most 64 adapters"));
}

}  // namespace
}  // namespace attune::jobs
