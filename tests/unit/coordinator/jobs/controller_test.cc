#include "coordinator/jobs/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "tests/unit/coordinator/jobs/fake_cluster.h"

namespace attune::jobs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ControllerTest : public testing::Test {
 protected:
  FakeCluster cluster_;
};

TEST_F(ControllerTest, TrainsFromSubmitToRegisteredModel) {
  cluster_.AddWorker("a", 1);
  cluster_.AddWorker("b", 1);
  const std::string id = cluster_.Submit(2, 12);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  v1::Job job = cluster_.Job(id);
  EXPECT_EQ(job.step(), 12u);
  EXPECT_EQ(job.total_steps(), 12u);
  EXPECT_EQ(job.ranks(), 2u);
  EXPECT_EQ(job.generation(), 1u);
  EXPECT_EQ(job.restarts(), 0u);
  EXPECT_EQ(job.model(), "tune@1");
  EXPECT_EQ(job.base(), "tiny@1");
  EXPECT_THAT(job.datasets(), ElementsAre("docs@3"));
  EXPECT_NEAR(job.metrics().at("loss"), 10.0 / 12, 1e-9);
  EXPECT_EQ(job.metrics().at("predicted_memory"), 1000);
  EXPECT_EQ(job.metrics().at("peak_memory"), 912);
  EXPECT_TRUE(cluster_.registered_jobs.contains(id));
  EXPECT_EQ(cluster_.steps_told, 12);
  EXPECT_THAT(cluster_.ended_told, ElementsAre(v1::Job::SUCCEEDED));
  EXPECT_TRUE(cluster_.RunUntil([&] {
    return cluster_.running() == 0 && cluster_.controller().Nodes()[0].slots_used() == 0;
  }));
}

// A task that was given the old place would lose its files.
TEST_F(ControllerTest, AModelIsInItsPlaceBeforeAnybodyIsGivenIt) {
  cluster_.AddWorker("a", 1);
  const std::string id = cluster_.Submit(1, 2);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_TRUE(cluster_.placed_jobs.contains(id));
}

TEST_F(ControllerTest, OutputThatTheDiskLostIsMadeAgain) {
  cluster_.AddWorker("a", 1);
  v1::SubmitJobRequest request;
  request.set_kind(v1::Job::GENERATE);
  request.mutable_task()->mutable_generate()->set_model("tiny");
  request.mutable_task()->mutable_generate()->add_prompts("one");
  request.mutable_task()->mutable_generate()->set_max_tokens(5);
  cluster_.steps_flow = false;
  auto job = cluster_.controller().Submit(request);
  ASSERT_TRUE(job.ok()) << job.status().ToString();
  const std::string trainer = job->id() + "-g1-r0";
  ASSERT_TRUE(cluster_.RunUntil([&] {
    return cluster_.Trainer(trainer) != nullptr && cluster_.Trainer(trainer)->task.has_value();
  }));
  v1::TrainerMessage line;
  line.set_sequence(1);
  line.mutable_output()->set_data("first\n");
  cluster_.controller().OnTrainerMessage(trainer, line);
  cluster_.Step();
  EXPECT_EQ(cluster_.Output(job->id()), "first\n");
  std::filesystem::resize_file(cluster_.storage() / "runs" / job->id() / "output.jsonl", 3);
  line.set_sequence(2);
  cluster_.controller().OnTrainerMessage(trainer, line);
  cluster_.steps_flow = true;
  ASSERT_TRUE(cluster_.RunUntilState(job->id(), v1::Job::SUCCEEDED));
  EXPECT_THAT(cluster_.Job(job->id()).incidents(0).cause(), HasSubstr("3 of the 6 bytes"));
  EXPECT_EQ(cluster_.Output(job->id()), "{\"prompt\": \"one\"}\n");
}

TEST_F(ControllerTest, AnEvaluationIsOneTaskWithADatasetForEachSuite) {
  cluster_.AddWorker("a", 2);
  v1::SubmitJobRequest request;
  request.set_kind(v1::Job::EVALUATE);
  request.set_update("update-1");
  v1::EvaluateRequest* evaluate = request.mutable_task()->mutable_evaluate();
  evaluate->set_model("tiny");
  for (const char* split : {"", "train"}) {
    v1::Suite* suite = evaluate->add_suites();
    suite->set_name(std::string("suite ") + split);
    suite->set_dataset("docs");
    suite->set_split(split);
  }
  auto job = cluster_.controller().Submit(request);
  ASSERT_TRUE(job.ok()) << job.status().ToString();
  EXPECT_EQ(job->base(), "tiny@1");
  EXPECT_EQ(job->update(), "update-1");
  EXPECT_THAT(job->datasets(), ElementsAre("docs@3", "docs@3"));
  const std::string trainer = job->id() + "-g1-r0";
  cluster_.steps_flow = false;
  ASSERT_TRUE(cluster_.RunUntil([&] {
    return cluster_.Trainer(trainer) != nullptr && cluster_.Trainer(trainer)->task.has_value();
  }));
  const v1::TrainerTask task = *cluster_.Trainer(trainer)->task;
  EXPECT_EQ(task.task_id(), job->id() + "-g1-evaluate");
  EXPECT_EQ(task.evaluate().suites(0).split(), "validation");
  EXPECT_EQ(task.evaluate().suites(1).split(), "train");
  ASSERT_EQ(task.datasets_size(), 2);
  EXPECT_EQ(task.datasets(1).reference(), "docs@3");
  cluster_.steps_flow = true;
  EXPECT_TRUE(cluster_.RunUntilState(job->id(), v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(job->id()).ranks(), 1u);
}

TEST_F(ControllerTest, AMergeIsComparedOnWhatTheModelHasLearnedFrom) {
  cluster_.AddWorker("a", 2);
  cluster_.steps_flow = false;
  for (const bool merge : {true, false}) {
    v1::SubmitJobRequest request;
    request.set_kind(v1::Job::EXPORT);
    v1::ExportRequest* task = request.mutable_task()->mutable_export_();
    task->set_model("tiny-learned");
    task->set_folder("/exported");
    task->set_merge(merge);
    auto job = cluster_.controller().Submit(request);
    ASSERT_TRUE(job.ok()) << job.status().ToString();
    const std::string trainer = job->id() + "-g1-r0";
    ASSERT_TRUE(cluster_.RunUntil([&] {
      return cluster_.Trainer(trainer) != nullptr && cluster_.Trainer(trainer)->task.has_value();
    }));
    const auto& datasets = cluster_.Trainer(trainer)->task->datasets();
    ASSERT_EQ(datasets.size(), merge ? 1 : 0);
    if (merge) EXPECT_EQ(datasets[0].reference(), "docs@3");
    EXPECT_EQ(cluster_.Job(job->id()).datasets_size(), 0) << "it may be deleted meanwhile";
  }
}

TEST_F(ControllerTest, AnEmbeddingReadsOneDataset) {
  cluster_.AddWorker("a", 1);
  v1::SubmitJobRequest request;
  request.set_kind(v1::Job::EMBED);
  request.mutable_task()->mutable_embed()->set_model("tiny");
  request.mutable_task()->mutable_embed()->set_dataset("docs");
  auto job = cluster_.controller().Submit(request);
  ASSERT_TRUE(job.ok()) << job.status().ToString();
  EXPECT_THAT(job->datasets(), ElementsAre("docs@3"));
  EXPECT_TRUE(cluster_.RunUntilState(job->id(), v1::Job::SUCCEEDED));
  request.mutable_task()->mutable_embed()->set_dataset("nothing");
  EXPECT_EQ(cluster_.controller().Submit(request).status().code(), StatusCode::kNotFound);
}

// Also of a client that knows neither shares nor the section regularize.
TEST_F(ControllerTest, TrainersAreToldHowMuchOfEachDataset) {
  cluster_.AddWorker("a", 1);
  cluster_.steps_flow = false;
  v1::SubmitJobRequest request = cluster_.TrainRequest(1, 1, 12);
  request.mutable_spec()->clear_regularize();
  request.mutable_spec()->mutable_datasets(0)->set_weight(2);
  v1::DatasetRef* old = request.mutable_spec()->add_datasets();
  old->set_name("docs-of-old");
  old->set_share(0.3);
  const auto job = cluster_.controller().Submit(request);
  ASSERT_TRUE(job.ok()) << job.status().ToString();
  const std::string trainer = job->id() + "-g1-r0";
  ASSERT_TRUE(cluster_.RunUntil([&] {
    return cluster_.Trainer(trainer) != nullptr && cluster_.Trainer(trainer)->task.has_value();
  }));
  const auto& datasets = cluster_.Trainer(trainer)->task->datasets();
  ASSERT_EQ(datasets.size(), 2);
  EXPECT_EQ(datasets[0].weight(), 2);
  EXPECT_EQ(datasets[0].share(), 0);
  EXPECT_EQ(datasets[1].weight(), 0);
  EXPECT_DOUBLE_EQ(datasets[1].share(), 0.3);
}

TEST_F(ControllerTest, QueuesBehindAndSaysWhy) {
  cluster_.AddWorker("a", 2);
  cluster_.Step();
  const std::string first = cluster_.Submit(2, 200);
  const std::string second = cluster_.Submit(1, 5);
  ASSERT_TRUE(cluster_.RunUntilState(first, v1::Job::RUNNING));
  v1::Job waiting = cluster_.Job(second);
  EXPECT_EQ(waiting.state(), v1::Job::QUEUED);
  EXPECT_EQ(waiting.reason(), "needs 1 slot; 0 of 2 slots free; " + first + " holds 2");
  auto why = cluster_.controller().Explain(second);
  ASSERT_TRUE(why.ok());
  EXPECT_EQ(why->summary(), waiting.reason());
  EXPECT_TRUE(cluster_.RunUntilState(second, v1::Job::SUCCEEDED));
}

TEST_F(ControllerTest, AReasonToWaitIsAnEventWhenItChangesAndOnlyTheLastAreKept) {
  const std::string id = cluster_.Submit(8, 5);
  for (uint32_t i = 0; i < 60; ++i) {
    cluster_.KillWorker("a");
    cluster_.AddWorker("a", 1 + i % 2);
    for (int steps = 0; steps < 3; ++steps) cluster_.Step();
  }
  EXPECT_EQ(cluster_.Job(id).reason(), "needs 8 slots; the cluster has 2 in total");
  EXPECT_EQ(cluster_.CountEvents(id, "waiting"), 50);
  EXPECT_EQ(cluster_.Job(id).events_left_out().at("waiting"), 10u);
  EXPECT_EQ(cluster_.CountEvents(id, "submitted"), 1);
}

TEST_F(ControllerTest, RefusesMoreRanksThanTheClusterHas) {
  cluster_.AddWorker("a", 2);
  cluster_.Step();
  auto job = cluster_.controller().Submit(cluster_.TrainRequest(4, 4, 5));
  EXPECT_EQ(job.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(job.status().field(), "ranks");
  EXPECT_THAT(job.status().message(), HasSubstr("needs 4 slots"));
  EXPECT_THAT(job.status().message(), HasSubstr("has 2 in total"));
}

TEST_F(ControllerTest, RefusesADataSetWithoutAnswers) {
  v1::SubmitJobRequest request = cluster_.TrainRequest(1, 1, 5);
  request.mutable_spec()->mutable_datasets(0)->set_name("docs-unlabelled");
  for (v1::Job::Kind kind : {v1::Job::TRAIN, v1::Job::PLAN}) {
    request.set_kind(kind);
    auto job = cluster_.controller().Submit(request);
    EXPECT_EQ(job.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(job.status().field(), "dataset");
    EXPECT_THAT(job.status().message(), HasSubstr("docs-unlabelled@3 has no example to train on: 3 "
                                                  "of its rows have no answer"));
  }
}

TEST_F(ControllerTest, RefusesADataSetThatIsDeletedMeanwhile) {
  cluster_.deleted_dataset = "docs@3";
  const v1::SubmitJobRequest request = cluster_.TrainRequest(1, 1, 5);
  std::ostringstream log;
  auto& sinks = spdlog::default_logger()->sinks();
  sinks.push_back(std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  auto job = cluster_.controller().Submit(request);
  sinks.pop_back();
  EXPECT_EQ(job.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(job.status().field(), "dataset");
  EXPECT_EQ(log.str(), "");  // it is the client's mistake, and nothing is tried again
  cluster_.deleted_dataset.clear();
  job = cluster_.controller().Submit(request);
  ASSERT_TRUE(job.ok()) << job.status().ToString();
  cluster_.AddWorker("a", 1);
  EXPECT_TRUE(cluster_.RunUntilState(job->id(), v1::Job::SUCCEEDED));
}

TEST_F(ControllerTest, RefusesADataSetOfPreferencePairs) {
  v1::SubmitJobRequest request = cluster_.TrainRequest(1, 1, 5);
  request.mutable_spec()->mutable_datasets(0)->set_name("docs-pairs");
  for (v1::Job::Kind kind : {v1::Job::TRAIN, v1::Job::PLAN}) {
    request.set_kind(kind);
    auto job = cluster_.controller().Submit(request);
    EXPECT_EQ(job.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(job.status().field(), "dataset");
    EXPECT_THAT(job.status().message(),
                HasSubstr("docs-pairs@3 has only preference pairs: only task: "
                          "preference learns from them"));
  }
}

TEST_F(ControllerTest, RefusesADataSetOfTooManyPreferencePairs) {
  v1::SubmitJobRequest request = cluster_.TrainRequest(1, 1, 5);
  request.mutable_spec()->mutable_datasets(0)->set_name("docs-some-pairs");
  const auto job = cluster_.controller().Submit(request);
  EXPECT_EQ(job.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(job.status().field(), "dataset");
  EXPECT_THAT(job.status().message(),
              HasSubstr("docs-some-pairs@3: 6 of the 101 examples cannot be used (5 % may be left "
                        "out); they are preference pairs"));
  request.mutable_spec()->mutable_datasets(0)->set_name("docs-few-pairs");
  EXPECT_TRUE(cluster_.controller().Submit(request).ok());
}

TEST_F(ControllerTest, WaitsForTheFirstWorker) {
  const std::string id = cluster_.Submit(2, 5);
  cluster_.Step();
  EXPECT_EQ(cluster_.Job(id).state(), v1::Job::QUEUED);
  cluster_.AddWorker("a", 2);
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

TEST_F(ControllerTest, TakesAsManyRanksAsFit) {
  cluster_.AddWorker("a", 3);
  cluster_.Step();
  auto job = cluster_.controller().Submit(cluster_.TrainRequest(1, 8, 5));
  ASSERT_TRUE(job.ok());
  ASSERT_TRUE(cluster_.RunUntilState(job->id(), v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(job->id()).ranks(), 3u);
}

TEST_F(ControllerTest, SubmitIsIdempotent) {
  auto request = cluster_.TrainRequest(1, 1, 5);
  request.set_request_id("r1");
  auto first = cluster_.controller().Submit(request);
  auto again = cluster_.controller().Submit(request);
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(first->id(), again->id());
  request.mutable_spec()->mutable_train()->set_max_steps(6);
  EXPECT_EQ(cluster_.controller().Submit(request).status().code(), StatusCode::kAlreadyExists);
}

TEST_F(ControllerTest, RefusesUnknownInputs) {
  auto request = cluster_.TrainRequest(1, 1, 5);
  request.mutable_spec()->set_base("nothing");
  auto job = cluster_.controller().Submit(request);
  EXPECT_EQ(job.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(job.status().field(), "base");
}

TEST_F(ControllerTest, CancelStopsTrainersAndFreesSlots) {
  cluster_.AddWorker("a", 2);
  const std::string id = cluster_.Submit(2, 1000);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::RUNNING));
  v1::CancelJobRequest request;
  request.set_request_id("c1");
  request.set_id("tune");  // by name
  request.set_reason("wrong data");
  auto job = cluster_.controller().Cancel(request);
  ASSERT_TRUE(job.ok()) << job.status().ToString();
  EXPECT_EQ(job->state(), v1::Job::CANCELLED);
  EXPECT_EQ(job->reason(), "cancelled: wrong data");
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.running() == 0; }));
  auto again = cluster_.controller().Cancel(request);
  ASSERT_TRUE(again.ok()) << "the same request gets the same answer";
  request.set_request_id("c2");
  EXPECT_EQ(cluster_.controller().Cancel(request).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(ControllerTest, PauseCheckpointsAndResumeGoesOnFromThere) {
  cluster_.AddWorker("a", 2);
  cluster_.checkpoint_every = 1000;
  const std::string id = cluster_.Submit(2, 40);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
  v1::PauseJobRequest pause;
  pause.set_id(id);
  ASSERT_TRUE(cluster_.controller().Pause(pause).ok());
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::PAUSED));
  const uint32_t step = cluster_.Job(id).step();
  EXPECT_EQ(cluster_.Job(id).incidents_size(), 0);
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.running() == 0; }));
  v1::ResumeJobRequest resume;
  resume.set_id(id);
  ASSERT_TRUE(cluster_.controller().Resume(resume).ok());
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::RUNNING));
  EXPECT_GT(cluster_.Job(id).step(), step);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.steps_told, 40) << "no step was done twice";
  EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
}

TEST_F(ControllerTest, AResumeWhileItPausesQueuesItAgain) {
  cluster_.AddWorker("a", 1);
  cluster_.checkpoint_every = 1000;
  const std::string id = cluster_.Submit(1, 40);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
  v1::PauseJobRequest pause;
  pause.set_id(id);
  v1::ResumeJobRequest resume;
  resume.set_id(id);
  EXPECT_EQ(cluster_.controller().Resume(resume).status().code(), StatusCode::kFailedPrecondition)
      << "it runs and nobody paused it";
  ASSERT_TRUE(cluster_.controller().Pause(pause).ok());
  auto resumed = cluster_.controller().Resume(resume);
  ASSERT_TRUE(resumed.ok()) << resumed.status().ToString();
  EXPECT_EQ(resumed->reason(), "writes a checkpoint and goes on from there");
  cluster_.StopController();  // the wish is stored
  cluster_.StartController();
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Job(id).generation(), 2u);
  EXPECT_EQ(cluster_.Job(id).restarts(), 0u);
  EXPECT_EQ(cluster_.Job(id).incidents_size(), 0);
  EXPECT_EQ(cluster_.steps_told, 40) << "no step was done twice";
  EXPECT_EQ(cluster_.CountEvents(id, "paused"), 0);
}

TEST_F(ControllerTest, TheLastOfPauseAndResumeWins) {
  cluster_.AddWorker("a", 1);
  const std::string id = cluster_.Submit(1, 40);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).step() >= 7; }));
  v1::PauseJobRequest pause;
  pause.set_id(id);
  v1::ResumeJobRequest resume;
  resume.set_id(id);
  ASSERT_TRUE(cluster_.controller().Pause(pause).ok());
  ASSERT_TRUE(cluster_.controller().Resume(resume).ok());
  ASSERT_TRUE(cluster_.controller().Pause(pause).ok());
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::PAUSED));
  EXPECT_FALSE(cluster_.RunUntil([&] { return cluster_.Job(id).state() != v1::Job::PAUSED; }, 5));
}

TEST_F(ControllerTest, CheckpointsGoOnceTheModelIsRegistered) {
  cluster_.AddWorker("a", 1);
  const std::string id = cluster_.Submit(1, 12);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.HasCheckpoints(id); }));
  ASSERT_TRUE(cluster_.RunUntil([&] { return !cluster_.HasCheckpoints(id); }));
  EXPECT_EQ(cluster_.Job(id).state(), v1::Job::SUCCEEDED);
  EXPECT_TRUE(cluster_.registered_jobs.contains(id));
  const std::string cancelled = cluster_.Submit(1, 1000);
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.HasCheckpoints(cancelled); }));
  v1::CancelJobRequest request;
  request.set_id(cancelled);
  ASSERT_TRUE(cluster_.controller().Cancel(request).ok());
  cluster_.StopController();
  cluster_.StartController();
  EXPECT_FALSE(cluster_.RunUntil([&] { return !cluster_.HasCheckpoints(cancelled); }, 5));
}

TEST_F(ControllerTest, GenerateWritesItsOutput) {
  cluster_.AddWorker("a", 1);
  const v1::Job job = cluster_.SubmitGenerate();
  ASSERT_TRUE(cluster_.RunUntilState(job.id(), v1::Job::SUCCEEDED));
  EXPECT_EQ(cluster_.Output(job.id()), "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n");
  // Prompts may be many megabytes: they are stored once.
  EXPECT_TRUE(cluster_.Job(job.id()).has_task());
  EXPECT_FALSE(job.has_task());
  for (const Event& event : cluster_.Events("job", job.id())) {
    EXPECT_EQ(event.snapshot.find("two"), std::string::npos) << event.type;
  }
}

TEST_F(ControllerTest, EventsTellTheStory) {
  cluster_.AddWorker("a", 1);
  cluster_.Step();
  const std::string id = cluster_.Submit(1, 4);
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
  EXPECT_THAT(cluster_.EventTypes(id),
              ElementsAre("submitted", "placed", "preparing", "task-done", "started", "step",
                          "task-done", "registering", "ended"));
}

}  // namespace
}  // namespace attune::jobs
