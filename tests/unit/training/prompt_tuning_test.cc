// Tasks with a prompt that is tuned, where they differ from those with LoRA.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/training/task_fixture.h"
#include "worker/engine/evaluation.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using testing::ReadAll;
using testing::Recorder;

class PromptTuningTest : public testing::TaskTest {
 protected:
  TrainResult TrainedBy(const TrainTask& task) const {
    auto ranks = TrainOn(1, task);
    EXPECT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
    return ranks[0].result.value();
  }
  ModelFiles Tuned(const TrainResult& result) const {
    return {.reference = "out@1",
            .path = result.output,
            .format = "peft-adapter",
            .base = std::make_shared<ModelFiles>(Base())};
  }
  // Of the validation split.
  double MeasuredLoss(const EvaluateTask& task) const {
    Recorder recorder;
    const Status status = Evaluate(task, recorder);
    EXPECT_TRUE(status.ok()) << status.ToString();
    double loss = 0, tokens = 0;
    for (const std::string& text : recorder.lines) {
      const json line = json::parse(text);
      if (!line.contains("example")) continue;
      loss += line["example"]["loss_sum"].get<double>();
      tokens += line["example"]["target_tokens"].get<double>();
    }
    return loss / tokens;
  }
};

TEST_F(PromptTuningTest, ExportWritesItForPeftAndDoesNotMergeIt) {
  const TrainResult result = TrainedBy(Task("prompt-tuning", "run"));
  const json config = json::parse(ReadAll(result.output / "adapter_config.json"));
  EXPECT_EQ(config["peft_type"], "PROMPT_TUNING");
  EXPECT_EQ(config["num_virtual_tokens"], 20);
  EXPECT_THAT(ReadAll(result.output / "README.md"), HasSubstr("# A prompt for"));
  EXPECT_THAT(ReadAll(result.output / "README.md"), HasSubstr("prompt tuning, virtual_tokens 20"));
  Recorder observer;
  const fs::path exported = folder_.path() / "exported", merged = folder_.path() / "merged";
  const Status status = Export({.model = Tuned(result), .folder = exported}, observer);
  ASSERT_TRUE(status.ok()) << status.ToString();
  for (const char* file : {"adapter_model.safetensors", "adapter_config.json"}) {
    EXPECT_EQ(ReadAll(exported / file), ReadAll(result.output / file)) << file;
  }
  const Status refused =
      Export({.model = Tuned(result), .folder = merged, .merge = true}, observer);
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.field(), "merge");
  EXPECT_THAT(refused.message(), HasSubstr("out@1 is a prompt"));
  EXPECT_FALSE(fs::exists(merged));
}

// Also where the artifact is to be merged: it is served with the prompt beside its base.
TEST_F(PromptTuningTest, EvaluationMeasuresItBesideItsBase) {
  const TrainTask trained = Task("prompt-tuning", "run");
  const TrainResult result = TrainedBy(trained);
  EvaluateTask task{
      .model = Tuned(result), .run_directory = folder_.path() / "measure", .threads = 1};
  task.suites.push_back({.name = "goal", .dataset = trained.data.datasets[0]});
  for (const bool merge : {false, true}) {
    task.merge = merge;
    EXPECT_NEAR(MeasuredLoss(task), *result.final_validation_loss, 1e-6);
  }
  task.dtype = "bfloat16";  // of its rows alone
  EXPECT_NEAR(MeasuredLoss(task), *result.final_validation_loss, 0.05);
}

TEST_F(PromptTuningTest, StartsAsTheTextAndSaysSo) {
  TrainTask task = Task("prompt-tuning", "drawn");
  task.data.train.max_steps = 1;
  const TrainResult drawn = TrainedBy(task);
  task.run_directory = folder_.path() / "told";
  task.method.init_text = "Say what the animal does.";
  const TrainResult told = TrainedBy(task);
  EXPECT_GT(std::abs(*told.first_validation_loss - *drawn.first_validation_loss), 1e-4);
  const json settings = json::parse(ReadAll(told.output / "attune.json"))["settings"]["method"];
  EXPECT_EQ(settings, json({{"type", "prompt-tuning"},
                            {"virtual_tokens", 20},
                            {"init_text", "Say what the animal does."}}));
  // Another prompt is another run.
  task.method.virtual_tokens = 19;
  EXPECT_EQ(TrainOn(1, task)[0].result.status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(PromptTuningTest, PlanCountsItsRows) {
  const auto plan = [&](int virtual_tokens) {
    TrainTask task = Task("prompt-tuning", "run");
    task.method.virtual_tokens = virtual_tokens;
    Recorder observer;
    const auto result = Plan(task, 1, observer);
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    return result.value();
  };
  const PlanResult few = plan(1), many = plan(100);
  EXPECT_EQ(few.trainable_parameters, 32);
  EXPECT_EQ(many.trainable_parameters, 3200);
  EXPECT_EQ(many.parameters - few.parameters, 99 * 32);
  EXPECT_EQ(many.tokens, few.tokens);
  EXPECT_GT(many.memory.activations, few.memory.activations);
}

TEST_F(PromptTuningTest, RefusesWhatItCannotTune) {
  const auto refuse = [&](const std::function<void(TrainTask&)>& change, const std::string& field,
                          const std::string& message) {
    TrainTask task = Task("prompt-tuning", "run");
    change(task);
    Recorder observer;
    const Status planned = Plan(task, 1, observer).status();
    const Status trained = Train(task, {}, nullptr, observer).status();
    for (const Status& status : {planned, trained}) {
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << field;
      EXPECT_EQ(status.field(), field) << status.ToString();
      EXPECT_THAT(status.message(), HasSubstr(message));
    }
  };
  refuse([](TrainTask& task) { task.method.virtual_tokens = 0; }, "method.virtual_tokens", "1");
  for (const char* type : {"classification", "embedding"}) {
    refuse(
        [&](TrainTask& task) {
          task.data.objective = {.type = type, .labels = {"a", "b"}};
        },
        "method.type", type);
  }
  refuse([](TrainTask& task) { task.method.virtual_tokens = 511; }, "method.virtual_tokens",
         "512 positions");
  refuse([](TrainTask& task) { task.data.train.sequence_length = 500; }, "train.sequence_length",
         "492 positions that tiny@1 has behind its 20 virtual tokens");
}

}  // namespace
}  // namespace attune::engine
