// Whole tasks on a GPU against the same on the CPU.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "tests/gpu/gpu.h"
#include "tests/support/base64.h"
#include "tests/unit/training/task_fixture.h"
#include "worker/engine/evaluation.h"

namespace attune::engine {
namespace {

using nlohmann::json;
using testing::Recorder;

class GpuTasks : public testing::TaskTest {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_GPU();
    TaskTest::SetUp();
  }
  Result<TrainResult> TrainHere(const TrainTask& task, const char* device, Recorder& observer) {
    return Train(task, {.device = device}, nullptr, observer);
  }
  // Lines of a task that must succeed.
  template <typename Task, typename Run>
  static std::vector<json> Lines(Task task, const char* device, const Run& run) {
    task.device = device;
    Recorder recorder;
    const Status status = run(task, recorder);
    EXPECT_TRUE(status.ok()) << status.ToString();
    std::vector<json> lines;
    for (const std::string& line : recorder.lines) lines.push_back(json::parse(line));
    return lines;
  }
};

struct Case {
  const char* name;
  const char* method;
  double dropout = 0;
  const char* regularize = "none";
  bool checkpointing = false;
};

class GpuTraining : public GpuTasks, public ::testing::WithParamInterface<Case> {
 protected:
  TrainTask TaskOf(const std::string& run) const {
    TrainTask task = Task(GetParam().method, run);
    task.method.dropout = GetParam().dropout;
    task.regularize = {.type = GetParam().regularize, .strength = 0.5};
    task.data.train.activation_checkpointing = GetParam().checkpointing;
    return task;
  }
};

TEST_P(GpuTraining, LossesAreThoseOfTheCpu) {
  Recorder cpu, gpu;
  ASSERT_TRUE(TrainHere(TaskOf("cpu"), "cpu", cpu).ok());
  const auto trained = TrainHere(TaskOf("gpu"), "cuda:0", gpu);
  ASSERT_TRUE(trained.ok()) << trained.status().ToString();
  ASSERT_EQ(gpu.steps.size(), cpu.steps.size());
  for (size_t i = 0; i < cpu.steps.size(); ++i) {
    EXPECT_NEAR(gpu.steps[i].loss / cpu.steps[i].loss, 1, 1e-5) << "step " << i + 1;
    EXPECT_NEAR(gpu.steps[i].grad_norm / cpu.steps[i].grad_norm, 1, 1e-4) << "step " << i + 1;
  }
  ASSERT_EQ(gpu.evaluations.size(), cpu.evaluations.size());
  EXPECT_NEAR(gpu.evaluations.back().loss / cpu.evaluations.back().loss, 1, 1e-5);
}

TEST_P(GpuTraining, AStoppedRunGoesOnWithTheSameBits) {
  Recorder whole, first, second;
  const auto expected = TrainHere(TaskOf("whole"), "cuda:0", whole);
  ASSERT_TRUE(expected.ok()) << expected.status().ToString();
  first.stop_after = 5;
  first.stop = StopRequest::kCheckpointAndStop;
  EXPECT_EQ(TrainHere(TaskOf("parts"), "cuda:0", first).status().code(), StatusCode::kCancelled);
  TrainTask rest = TaskOf("parts");
  rest.resume_from = rest.run_directory / "checkpoints";
  const auto resumed = TrainHere(rest, "cuda:0", second);
  ASSERT_TRUE(resumed.ok()) << resumed.status().ToString();
  ASSERT_EQ(first.steps.size() + second.steps.size(), whole.steps.size());
  EXPECT_EQ(second.steps.back().loss, whole.steps.back().loss);
  const char* const file =
      std::string(GetParam().method) == "lora" ? "adapter_model.safetensors" : "model.safetensors";
  EXPECT_EQ(testing::ReadAll(resumed->output / file), testing::ReadAll(expected->output / file));
}

TEST_P(GpuTraining, InBfloat16LossesStayNear) {
  TrainTask task = TaskOf("half");
  Recorder wide, half;
  ASSERT_TRUE(TrainHere(TaskOf("wide"), "cuda:0", wide).ok());
  task.data.train.precision = "bfloat16";
  const auto trained = TrainHere(task, "cuda:0", half);
  ASSERT_TRUE(trained.ok()) << trained.status().ToString();
  for (size_t i = 0; i < wide.steps.size(); ++i) {
    EXPECT_NEAR(half.steps[i].loss / wide.steps[i].loss, 1, 0.02) << "step " << i + 1;
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, GpuTraining,
                         ::testing::Values(Case{"Full", "full"}, Case{"Lora", "lora"},
                                           Case{"LoraWithDropout", "lora", 0.3},
                                           Case{"LoraHeldByL2Sp", "lora", 0, "l2-sp"},
                                           Case{"FullHeldByEwc", "full", 0, "ewc"},
                                           Case{"FullCheckpointing", "full", 0, "none", true},
                                           Case{"LoraCheckpointingWithDropout", "lora", 0.3, "none",
                                                true}),
                         [](const auto& info) { return info.param.name; });

TEST_F(GpuTasks, EvaluationsAreThoseOfTheCpu) {
  EvaluateTask task{.model = Base(), .run_directory = folder_.path() / "run"};
  task.suites.push_back({.name = "goal",
                         .dataset = Task("full", "unused").data.datasets[0],
                         .metrics = {{.name = "token_f1"}},
                         .max_tokens = 8});
  const auto cpu = Lines(task, "cpu", Evaluate), gpu = Lines(task, "cuda:0", Evaluate);
  ASSERT_EQ(gpu.size(), cpu.size());
  for (size_t i = 0; i + 1 < cpu.size(); ++i) {
    const json &here = gpu[i].at("example"), &there = cpu[i].at("example");
    EXPECT_NEAR(here["loss_sum"].get<double>() / there["loss_sum"].get<double>(), 1, 1e-5);
    EXPECT_EQ(here["answer"], there["answer"]);
  }
}

TEST_F(GpuTasks, AnEvaluationSaysInWhatItWas) {
  EvaluateTask task{.model = Base(), .run_directory = folder_.path() / "run"};
  task.suites.push_back({.name = "goal", .dataset = Task("full", "unused").data.datasets[0]});
  const json wide = Lines(task, "cuda:0", Evaluate).back().at("artifact");
  EXPECT_EQ(wide["precision"], "float32");
  EXPECT_THAT(wide["device"].get<std::string>(), ::testing::Not(::testing::HasSubstr("cuda")));
  task.dtype = "bfloat16";
  EXPECT_EQ(Lines(task, "cuda:0", Evaluate).back().at("artifact")["precision"], "bfloat16");
}

TEST_F(GpuTasks, EmbeddingsAreThoseOfTheCpu) {
  const EmbedTask task{.model = Base(), .dataset = Task("full", "unused").data.datasets[0]};
  const auto cpu = Lines(task, "cpu", Embed), gpu = Lines(task, "cuda:0", Embed);
  ASSERT_EQ(gpu.size(), cpu.size());
  for (size_t i = 0; i < cpu.size(); ++i) {
    EXPECT_EQ(gpu[i]["id"], cpu[i]["id"]);
    EXPECT_NEAR(gpu[i]["loss"], cpu[i]["loss"], 1e-4);
    EXPECT_NEAR(gpu[i]["entropy"], cpu[i]["entropy"], 1e-4);
    const auto here = FloatsOfBase64(gpu[i]["embedding"]),
               there = FloatsOfBase64(cpu[i]["embedding"]);
    for (size_t k = 0; k < there.size(); ++k) EXPECT_NEAR(here[k], there[k], 1e-4);
  }
}

TEST_F(GpuTasks, AnswersAreThoseOfTheCpu) {
  GenerateTask task{.model = Base(), .prompts = {{.text = "The cat:"}, {.text = "The hen:"}}};
  task.max_tokens = 40;
  EXPECT_EQ(Lines(task, "cuda:0", Generate), Lines(task, "cpu", Generate));
  task.temperature = 1;
  EXPECT_EQ(Lines(task, "cuda:0", Generate), Lines(task, "cpu", Generate));
}

}  // namespace
}  // namespace attune::engine
