// Plan, Generate, Export, and what a full disk leaves behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <new>
#include <nlohmann/json.hpp>

#include "tests/unit/training/task_fixture.h"
#include "worker/engine/tasks/failure.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using testing::ReadAll;
using testing::Recorder;

class TasksTest : public testing::TaskTest {};

// Room on the disk would not help: the job must not wait for it.
TEST(Guarded, MemoryThatCannotBeHadIsNoFullDisk) {
  const Status status = Guarded([]() -> Status { throw std::bad_alloc(); });
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_THAT(status.message(), HasSubstr("out of memory"));
}

TEST_F(TasksTest, PlanSaysWhatTrainDoes) {
  const TrainTask task = Task("lora", "run");
  const auto plan = Plan(task, 2);
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  const auto ranks = TrainOn(2, task);
  ASSERT_TRUE(ranks[0].result.ok());
  EXPECT_EQ(plan->steps, ranks[0].result->steps);
  int64_t tokens = 0, target_tokens = 0;
  for (const StepReport& report : ranks[0].observer.steps) {
    tokens += report.tokens;
    target_tokens += report.target_tokens;
  }
  EXPECT_EQ(plan->tokens, tokens);
  EXPECT_EQ(plan->target_tokens, target_tokens);
  EXPECT_EQ(plan->sequences, 40);
  EXPECT_GT(plan->fill, 0.7);
  EXPECT_LE(plan->fill, 1.0);
  // 2 layers x rank 4 x (inputs + outputs) of q, k, v, o, gate, up, down.
  EXPECT_EQ(plan->trainable_parameters, 2 * 4 * (64 + 48 + 48 + 64 + 96 + 96 + 96));
  EXPECT_EQ(plan->memory.optimizer, plan->trainable_parameters * 8);
  EXPECT_GT(plan->memory.activations, 0);
}

TEST_F(TasksTest, PlanRefusesWhatTrainRefuses) {
  EXPECT_EQ(Plan(Task("lora", "run"), 5).status().field(), "ranks");
}

TEST_F(TasksTest, GenerateAnswersEachPromptTheSameWayTwice) {
  const GenerateTask task{
      .model = Base(), .prompts = {"The cat:", "The \"fox\"\n"}, .max_tokens = 12, .threads = 1};
  Recorder first, second;
  ASSERT_TRUE(Generate(task, first).ok());
  ASSERT_TRUE(Generate(task, second).ok());
  ASSERT_EQ(first.lines.size(), 2u);
  EXPECT_EQ(first.lines, second.lines);
  const json line = json::parse(first.lines[1]);
  EXPECT_EQ(line.at("prompt"), "The \"fox\"\n");
  EXPECT_TRUE(line.at("text").is_string());
  EXPECT_LE(line.at("tokens").get<int>(), 12);
  EXPECT_TRUE(line.at("finish") == "stop" || line.at("finish") == "length");
}

TEST_F(TasksTest, GenerateRefusesWrongValuesAndStopsWhenAsked) {
  Recorder observer;
  GenerateTask task{.model = Base(), .prompts = {"x"}, .max_tokens = 0};
  EXPECT_EQ(Generate(task, observer).field(), "max_tokens");
  task.max_tokens = 5;
  task.top_p = 0;
  EXPECT_EQ(Generate(task, observer).field(), "top_p");
  task.top_p = 1;
  task.prompts = {std::string(5000, 'x')};
  EXPECT_THAT(Generate(task, observer).message(), HasSubstr("prompt 1: the prompt has"));
  task.prompts = {"x"};
  observer.stop = StopRequest::kStop;
  EXPECT_EQ(Generate(task, observer).code(), StatusCode::kCancelled);
  EXPECT_TRUE(observer.lines.empty());
}

TEST_F(TasksTest, ExportWritesTheAdapterOrTheMergedModel) {
  const auto ranks = TrainOn(1, Task("lora", "run"));
  ASSERT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
  const ModelFiles adapter{.reference = "out@1",
                           .path = ranks[0].result->output,
                           .format = "peft-adapter",
                           .base = std::make_shared<ModelFiles>(Base())};
  Recorder observer;
  const fs::path as_adapter = folder_.path() / "adapter", merged = folder_.path() / "merged";
  ASSERT_TRUE(Export({.model = adapter, .folder = as_adapter}, observer).ok());
  ASSERT_TRUE(Export({.model = adapter, .folder = merged, .merge = true}, observer).ok());
  EXPECT_TRUE(ReadAll(as_adapter / "adapter_model.safetensors") ==
              ReadAll(ranks[0].result->output / "adapter_model.safetensors"));
  EXPECT_TRUE(fs::exists(as_adapter / "adapter_config.json"));
  EXPECT_TRUE(fs::exists(merged / "tokenizer.json"));
  EXPECT_TRUE(fs::exists(merged / "generation_config.json"));

  // The merged model says what base and adapter say.
  Recorder with_adapter, with_merged;
  GenerateTask task{.model = adapter, .prompts = {"The crow:"}, .max_tokens = 8, .raw = true};
  ASSERT_TRUE(Generate(task, with_adapter).ok());
  task.model = {.reference = "merged@1", .path = merged, .format = "huggingface"};
  ASSERT_TRUE(Generate(task, with_merged).ok());
  EXPECT_EQ(with_adapter.lines, with_merged.lines);
}

TEST_F(TasksTest, ExportRefusesAFolderWithFiles) {
  Recorder observer;
  const Status status = Export({.model = Base(), .folder = folder_.path() / "model"}, observer);
  EXPECT_EQ(status.code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(status.message(), HasSubstr("not empty"));
}

TEST_F(TasksTest, AFullDiskAtACheckpointEndsAllRanksAndTheLastCheckpointGoesOn) {
  const fs::path disk = folder_.path() / "disk";
  fs::create_directories(disk);
  // Room for one checkpoint of about 0.33 MB, not for two at a time.
  if (geteuid() != 0 || mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=500k") != 0) {
    GTEST_SKIP() << "needs root and mount to make a small disk";
  }
  TrainTask task = Task("full", "disk/run");
  task.checkpoint = {.every_steps = 4, .keep = 2};
  const auto ranks = TrainOn(2, task);
  for (const auto& [result, observer] : ranks) {
    EXPECT_EQ(result.status().code(), StatusCode::kResourceExhausted) << result.status().ToString();
    EXPECT_EQ(observer.steps.size(), 8u);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(disk / "run" / "checkpoints"), {}), 1);
  EXPECT_EQ(mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=8m"), 0);
  const auto resumed = TrainOn(2, task);
  EXPECT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
  umount(disk.c_str());
}

}  // namespace
}  // namespace attune::engine
