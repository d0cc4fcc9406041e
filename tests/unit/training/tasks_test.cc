// Plan, Generate, Export, and what a full disk leaves behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>
#include <new>
#include <nlohmann/json.hpp>

#include "common/safetensors/safetensors.h"
#include "tests/unit/training/task_fixture.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/origin.h"

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
  Recorder observer;
  const auto plan = Plan(task, 2, observer);
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  const auto ranks = TrainOn(2, task);
  ASSERT_TRUE(ranks[0].result.ok());
  EXPECT_EQ(plan->steps, ranks[0].result->steps);
  int64_t tokens = 0, target_tokens = 0;
  std::vector<int64_t> step_tokens;
  for (const StepReport& report : ranks[0].observer.steps) {
    step_tokens.push_back(report.tokens);
    tokens += report.tokens;
    target_tokens += report.target_tokens;
  }
  EXPECT_EQ(plan->tokens, tokens);
  EXPECT_EQ(plan->target_tokens, target_tokens);
  EXPECT_EQ(plan->check.step_tokens_min, *std::ranges::min_element(step_tokens));
  EXPECT_EQ(plan->check.step_tokens_max, *std::ranges::max_element(step_tokens));
  EXPECT_EQ(plan->sequences, 40);
  EXPECT_GT(plan->fill, 0.7);
  EXPECT_LE(plan->fill, 1.0);
  // 2 layers x rank 4 x (inputs + outputs) of q, k, v, o, gate, up, down.
  EXPECT_EQ(plan->trainable_parameters, 2 * 4 * (64 + 48 + 48 + 64 + 96 + 96 + 96));
  EXPECT_EQ(plan->memory.optimizer, plan->trainable_parameters * 8);
  EXPECT_GT(plan->memory.activations, 0);
}

TEST_F(TasksTest, PlanAndTrainSayWhatAPersonShouldKnow) {
  TrainTask task = Task("lora", "run");
  task.optimizer.warmup_steps = 10;
  task.data.train.sequence_length = 12;
  task.data.datasets[0].weight = 0.5;
  Recorder observer;
  const auto plan = Plan(task, 1, observer);
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_FALSE(plan->data.cached) << "it prepares what is missing";
  ASSERT_EQ(plan->data.datasets.size(), 1u);
  EXPECT_EQ(plan->data.datasets[0].train.examples, 120);
  EXPECT_GT(plan->data.datasets[0].train.truncated, 0);
  EXPECT_EQ(plan->data.datasets[0].examples_an_epoch, plan->data.examples);
  // Both splits have examples that are cut.
  ASSERT_EQ(plan->warnings.size(), 3u);
  EXPECT_THAT(plan->warnings[0], HasSubstr("cut at train.sequence_length 12"));
  EXPECT_THAT(plan->warnings[2], HasSubstr("warmup_steps is 10, but the run has 10 steps"));
  EXPECT_THAT(observer.warnings, ::testing::ElementsAre(plan->warnings[0], plan->warnings[1]));

  const auto ranks = TrainOn(2, task);
  ASSERT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
  EXPECT_THAT(ranks[0].observer.warnings, ::testing::ElementsAre(plan->warnings[2]));
  EXPECT_THAT(ranks[1].observer.warnings, ::testing::IsEmpty());
}

TEST_F(TasksTest, PlanRefusesWhatTrainRefuses) {
  Recorder observer;
  EXPECT_EQ(Plan(Task("lora", "run"), 5, observer).status().field(), "ranks");
}

TEST_F(TasksTest, GenerateAnswersEachPromptTheSameWayTwice) {
  const GenerateTask task{.model = Base(),
                          .prompts = {{"The cat:"}, {"The \"fox\"\n"}},
                          .max_tokens = 12,
                          .threads = 1};
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
  GenerateTask task{.model = Base(), .prompts = {{"x"}}, .max_tokens = 0};
  EXPECT_EQ(Generate(task, observer).field(), "max_tokens");
  task.max_tokens = 5;
  task.top_p = 0;
  EXPECT_EQ(Generate(task, observer).field(), "top_p");
  task.top_p = 1;
  task.prompts = {{std::string(5000, 'x')}};
  EXPECT_THAT(Generate(task, observer).message(), HasSubstr("prompt 1: the prompt has"));
  task.prompts = {{"x"}};
  observer.stop = StopRequest::kStop;
  EXPECT_EQ(Generate(task, observer).code(), StatusCode::kCancelled);
  EXPECT_TRUE(observer.lines.empty());
}

// A conversation is what the prompt of a chat model is made into.
TEST_F(TasksTest, GenerateTakesConversationsAndASystemMessage) {
  Recorder as_prompt, as_messages, with_system;
  const std::string messages = R"([{"role": "user", "content": "The cat:"}])";
  GenerateTask task{.model = Base(), .prompts = {{"The cat:"}}, .max_tokens = 8, .threads = 1};
  ASSERT_TRUE(Generate(task, as_prompt).ok());
  task.prompts = {{.messages = messages}};
  ASSERT_TRUE(Generate(task, as_messages).ok());
  const json line = json::parse(as_messages.lines.at(0));
  EXPECT_EQ(line.at("messages"), json::parse(messages));
  EXPECT_EQ(line.at("text"), json::parse(as_prompt.lines.at(0)).at("text"));
  EXPECT_FALSE(line.contains("prompt"));

  // It is there when the conversation is as long as the message.
  task.system = std::string(600, 's');
  EXPECT_THAT(Generate(task, with_system).message(), HasSubstr("the model takes 512"));
  task.prompts = {{.messages = R"([{"role": "system", "content": "s"}])"}};
  EXPECT_TRUE(Generate(task, with_system).ok());
  task.raw = true;
  EXPECT_THAT(Generate(task, with_system).message(), HasSubstr("need the chat template"));
  task = {.model = Base(), .prompts = {{.messages = "{}"}}};
  EXPECT_THAT(Generate(task, with_system).message(), HasSubstr("must be an array of objects"));
  task.precision = "int4";
  EXPECT_EQ(Generate(task, with_system).field(), "precision");
}

TEST_F(TasksTest, GenerateAnswersAtATimeInTheOrderOfThePrompts) {
  GenerateTask task{.model = Base(),
                    .prompts = {{"The cat:"}, {"x"}, {"The \"fox\"\n"}, {"A dog"}, {"y"}},
                    .max_tokens = 12,
                    .threads = 1,
                    .batch = 1};
  Recorder alone, together;
  ASSERT_TRUE(Generate(task, alone).ok());
  task.batch = 3;
  ASSERT_TRUE(Generate(task, together).ok());
  EXPECT_EQ(together.lines, alone.lines);
  EXPECT_EQ(together.last_progress.done, 5);
  EXPECT_TRUE(together.pieces.empty()) << "nobody asked for them";
  task.batch = 0;
  EXPECT_EQ(Generate(task, together).field(), "batch");
}

TEST_F(TasksTest, PiecesOfAnswersMakeTheirTexts) {
  const GenerateTask task{.model = Base(),
                          .prompts = {{"The cat:"}, {"The \"fox\"\n"}},
                          .max_tokens = 24,
                          .threads = 1,
                          .stream = true};
  Recorder observer;
  ASSERT_TRUE(Generate(task, observer).ok());
  std::vector<std::string> texts(2);
  for (const auto& [prompt, piece] : observer.pieces) {
    EXPECT_FALSE(piece.empty());
    texts.at(prompt) += piece;
  }
  EXPECT_GT(observer.pieces.size(), 4u);
  GenerateTask unseen = task;
  unseen.stream = false;
  Recorder whole;
  ASSERT_TRUE(Generate(unseen, whole).ok());
  EXPECT_EQ(observer.lines, whole.lines);
  for (size_t i = 0; i < 2; ++i)
    EXPECT_EQ(json(texts[i]), json::parse(observer.lines[i]).at("text"));
}

TEST_F(TasksTest, AnAnswerEndsBeforeAStopText) {
  GenerateTask task{
      .model = Base(), .prompts = {{"The cat:"}}, .max_tokens = 24, .threads = 1, .stream = true};
  Recorder whole, cut, refused;
  ASSERT_TRUE(Generate(task, whole).ok());
  const std::string text = json::parse(whole.lines[0]).at("text");
  ASSERT_GT(text.size(), 8u);
  task.stop = {"never \x01 there", text.substr(4, 4)};
  ASSERT_TRUE(Generate(task, cut).ok());
  const json line = json::parse(cut.lines[0]);
  EXPECT_EQ(line.at("text"), text.substr(0, text.find(task.stop[1])));
  EXPECT_EQ(line.at("finish"), "stop");
  EXPECT_LT(line.at("tokens"), json::parse(whole.lines[0]).at("tokens"));
  std::string shown;
  for (const auto& [prompt, piece] : cut.pieces) shown += piece;
  EXPECT_EQ(json(shown), line.at("text")) << "no beginning of a stop text is shown";
  task.stop = {""};
  EXPECT_EQ(Generate(task, refused).field(), "stop");
}

TEST_F(TasksTest, GenerateInBfloat16) {
  Recorder observer;
  GenerateTask task{.model = Base(), .prompts = {{"The cat:"}}, .max_tokens = 4};
  task.precision = "bfloat16";
  ASSERT_TRUE(Generate(task, observer).ok());
  EXPECT_EQ(observer.lines.size(), 1u);
}

// The room that is left shows how many tokens a prompt has.
TEST_F(TasksTest, ARawPromptThatBeginsWithTheFirstTokenGetsNoSecond) {
  const fs::path config_path = folder_.path() / "model/tokenizer_config.json";
  json config = json::parse(ReadAll(config_path));
  config["bos_token"] = "<|endoftext|>";
  config["add_bos_token"] = true;
  folder_.Write("model/tokenizer_config.json", config.dump());
  Recorder observer;
  GenerateTask task{.model = Base(), .raw = true};
  for (const char* begin : {"", "<|endoftext|>"}) {
    task.prompts = {{begin + std::string(511, 'x')}};
    EXPECT_THAT(Generate(task, observer).message(), HasSubstr("the prompt has 512 tokens"));
  }
}

std::string DtypeOfWeights(const fs::path& folder) {
  const auto file = SafetensorsFile::Open(folder / "model.safetensors");
  EXPECT_TRUE(file.ok()) << file.status().ToString();
  return (*file)->tensors().begin()->second.dtype;
}

// 16 bits in, 16 bits out; what a job keeps of it is float32 all the same.
TEST_F(TasksTest, ExportWritesTheDtypeOfTheOriginal) {
  Recorder observer;
  const fs::path half = folder_.path() / "half", out = folder_.path() / "out";
  ASSERT_TRUE(Export({.model = Base(), .folder = half, .dtype = "bfloat16"}, observer).ok());
  EXPECT_EQ(DtypeOfWeights(half), "BF16");
  EXPECT_EQ(json::parse(ReadAll(half / "config.json")).at("dtype"), "bfloat16");
  EXPECT_FALSE(json::parse(ReadAll(half / "config.json")).contains("torch_dtype"));

  TrainTask task = Task("full", "run");
  task.data.base = {.reference = "half@1", .path = half, .format = "huggingface"};
  const auto ranks = TrainOn(1, task);
  ASSERT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
  const ModelFiles trained{
      .reference = "out@1", .path = ranks[0].result->output, .format = "huggingface"};
  EXPECT_EQ(DtypeOfWeights(trained.path), "F32");
  EXPECT_EQ(json::parse(ReadAll(trained.path / "config.json")).at("dtype"), "float32");
  ASSERT_TRUE(Export({.model = trained, .folder = out}, observer).ok());
  EXPECT_EQ(DtypeOfWeights(out), "BF16");
  EXPECT_EQ(json::parse(observer.lines.back()).at("dtype"), "bfloat16");
  fs::remove_all(out);
  ASSERT_TRUE(Export({.model = trained, .folder = out, .dtype = "float32"}, observer).ok());
  EXPECT_TRUE(ReadAll(out / "model.safetensors") == ReadAll(trained.path / "model.safetensors"));
  EXPECT_EQ(
      Export({.model = trained, .folder = folder_.path() / "x", .dtype = "int8"}, observer).field(),
      "dtype");
}

TEST_F(TasksTest, LicencesGoAlongAndCardsSayWhatWasMade) {
  for (const char* name : {"LICENSE", "NOTICE", "tokenizer.model", "vocab.json", "README.md"}) {
    folder_.Write(std::string("model/") + name, name);
  }
  Recorder observer;
  const fs::path copy = folder_.path() / "copy", merged = folder_.path() / "merged";
  ASSERT_TRUE(Export({.model = Base(), .folder = copy}, observer).ok());
  for (const char* name : {"LICENSE", "NOTICE", "tokenizer.model", "vocab.json", "README.md"}) {
    EXPECT_EQ(ReadAll(copy / name), name);
  }
  const auto ranks = TrainOn(1, Task("lora", "run"));
  ASSERT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
  const ModelFiles adapter{.reference = "out@1",
                           .path = ranks[0].result->output,
                           .format = "peft-adapter",
                           .base = std::make_shared<ModelFiles>(Base())};
  EXPECT_EQ(ReadAll(adapter.path / "LICENSE"), "LICENSE");
  const std::string card = ReadAll(adapter.path / "README.md");
  EXPECT_THAT(card, HasSubstr("base_model: \"" + Base().path.string() + "\"\n"));
  EXPECT_THAT(card, HasSubstr("library_name: peft\n"));
  EXPECT_THAT(card, HasSubstr("| base | tiny@1 |"));
  EXPECT_THAT(card, HasSubstr("| data | data@1 (sha256 "));
  EXPECT_THAT(card, HasSubstr("LoRA, rank 4, alpha 8, dropout 0, "));
  EXPECT_THAT(card, HasSubstr("| steps | 10 |"));
  EXPECT_THAT(card, HasSubstr("| job | job-1 |"));
  ASSERT_TRUE(Export({.model = adapter, .folder = merged, .merge = true}, observer).ok());
  EXPECT_EQ(ReadAll(merged / "vocab.json"), "vocab.json");
  EXPECT_THAT(ReadAll(merged / "README.md"), HasSubstr("library_name: transformers\n"));
  EXPECT_EQ(json::parse(ReadAll(merged / "attune.json")).at("base"), "tiny@1");
}

TEST_F(TasksTest, AnAdapterNamesABaseThatPeftFinds) {
  ModelFiles base = Base();
  EXPECT_EQ(PeftBase(base), base.path.string());
  base.source = folder_.path() / "gone";
  EXPECT_EQ(PeftBase(base), base.path.string());
  base.source = folder_.path() / "data";
  EXPECT_EQ(PeftBase(base), (folder_.path() / "data").string());
  base.source = "/cache/huggingface/hub/models--Some-One--Tiny-1/snapshots/0a1b2c/";
  EXPECT_EQ(PeftBase(base), "Some-One/Tiny-1");

  const auto ranks = TrainOn(1, Task("lora", "run"));
  ASSERT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
  ModelFiles adapter{.reference = "out@1",
                     .path = ranks[0].result->output,
                     .format = "peft-adapter",
                     .base = std::make_shared<ModelFiles>(base)};
  const fs::path config_path = adapter.path / "adapter_config.json";
  json config = json::parse(ReadAll(config_path));
  EXPECT_EQ(config.at("base_model_name_or_path"), Base().path.string());
  config["base_model_name_or_path"] = "some/base";  // as an import's
  std::ofstream(config_path) << config;
  EXPECT_EQ(PeftBase(adapter), "some/base");
  config["base_model_name_or_path"] = "tiny@1";  // as Attune wrote once
  std::ofstream(config_path) << config;
  EXPECT_EQ(PeftBase(adapter), "Some-One/Tiny-1");
  Recorder observer;
  const fs::path out = folder_.path() / "out";
  ASSERT_TRUE(Export({.model = adapter, .folder = out}, observer).ok());
  EXPECT_EQ(json::parse(ReadAll(out / "adapter_config.json")).at("base_model_name_or_path"),
            "Some-One/Tiny-1");
  const json line = json::parse(observer.lines.back());
  EXPECT_EQ(line.at("base"), "Some-One/Tiny-1");
  EXPECT_FALSE(line.contains("note"));

  fs::remove_all(out);
  base.format = "gguf";
  adapter.base = std::make_shared<ModelFiles>(base);
  ASSERT_TRUE(Export({.model = adapter, .folder = out}, observer).ok());
  EXPECT_THAT(json::parse(observer.lines.back()).at("note").get<std::string>(),
              HasSubstr("`attune model export tiny@1 FOLDER`"));
  EXPECT_THAT(ReadAll(out / "README.md"), HasSubstr("from_pretrained(base_folder)"));
}

class ExportTest : public TasksTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(ExportTest, WritesTheAdapterOrTheMergedModel) {
  const auto ranks = TrainOn(1, Task(GetParam(), "run"));
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
  GenerateTask task{.model = adapter, .prompts = {{"The crow:"}}, .max_tokens = 8, .raw = true};
  ASSERT_TRUE(Generate(task, with_adapter).ok());
  task.model = {.reference = "merged@1", .path = merged, .format = "huggingface"};
  ASSERT_TRUE(Generate(task, with_merged).ok());
  EXPECT_EQ(with_adapter.lines, with_merged.lines);
}

INSTANTIATE_TEST_SUITE_P(Adapters, ExportTest, ::testing::Values("lora", "lora-whole"),
                         [](const auto& info) { return info.param == "lora" ? "lora" : "whole"; });

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
