// 20 steps against transformers and peft: AdamW, plain and held by L2-SP and EWC, and the other
// optimizers: training.json, regularize/ and optimizers/ of tests/parity/make_references.py.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "tests/parity/model/peft_cases.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/training/step_run.h"
#include "worker/engine/checkpoint/tensor_file.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kFixtures = "tests/fixtures/model";

// The reference's batches, an example a sequence.
class FixedPlan : public StepPlan {
 public:
  int steps() const override { return static_cast<int>(steps_.size()); }
  int steps_an_epoch() const override { return steps(); }
  uint64_t sequences_an_epoch() const override { return sequences_; }
  uint64_t fewest_sequences() const override { return sequences_; }
  PlannedStep Step(int s) const override { return steps_[s]; }
  std::string Digest() const override { return "fixed"; }
  void Add(PlannedStep step) {
    sequences_ += step.sequences.size();
    steps_.push_back(std::move(step));
  }

 private:
  std::vector<PlannedStep> steps_;
  uint64_t sequences_ = 0;
};

void AddBatches(const json& batches, testing::StepInput& input) {
  auto shard = std::make_shared<testing::MemoryShard>();
  auto plan = std::make_shared<FixedPlan>();
  for (const json& batch : batches) {
    PlannedStep step;
    for (const json& example : batch) {
      const auto index = static_cast<uint32_t>(shard->size());
      shard->Add(example.at("tokens").get<std::vector<uint32_t>>(),
                 example.at("targets").get<std::vector<uint8_t>>());
      step.sequences.push_back({index});
      step.tokens += shard->lengths()[index];
      step.target_tokens += shard->target_counts()[index];
    }
    plan->Add(std::move(step));
  }
  input.shard = std::move(shard);
  input.plan = std::move(plan);
}

testing::StepInput Input(const json& reference, const std::string& method,
                         const std::string& model = "default",
                         const std::string& adapter = "lora") {
  testing::StepInput input;
  input.model = {.reference = model + "@1", .path = kFixtures / model, .format = "huggingface"};
  if (method != "full") {
    auto base = std::make_shared<ModelFiles>(input.model);
    input.model = {.reference = adapter + "@1",
                   .path = kFixtures / adapter,
                   .format = "peft-adapter",
                   .base = base};
  }
  AddBatches(reference.at("batches"), input);
  input.task.method.type = method;
  input.task.data.train.micro_batch = 2;
  const json& o = reference.at("options");
  input.task.optimizer = {.learning_rate = o.at("learning_rate").get<double>(),
                          .weight_decay = o.at("weight_decay").get<double>(),
                          .beta1 = o.at("beta1").get<double>(),
                          .beta2 = o.at("beta2").get<double>(),
                          .epsilon = o.at("epsilon").get<double>(),
                          .schedule = o.at("schedule").get<std::string>(),
                          .clip_norm = o.at("clip_norm").get<double>()};
  return input;
}

class TrainingParity : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

void ExpectTwentySteps(const testing::StepRun& run, const json& expected,
                       double loss_tolerance = 1e-4, double norm_tolerance = 1e-3) {
  ASSERT_EQ(run.reports.size(), 20u);
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_NEAR(run.reports[i].loss, expected.at("losses")[i].get<double>(), loss_tolerance)
        << "step " << i + 1;
    const double norm = expected.at("grad_norms")[i].get<double>();
    EXPECT_NEAR(run.reports[i].grad_norm, norm, norm_tolerance * norm) << "step " << i + 1;
  }
}

TEST_P(TrainingParity, LossesOfTwentySteps) {
  const auto& [method, ranks] = GetParam();
  const json reference = json::parse(ReadFile(kFixtures / "training.json").value());
  ExpectTwentySteps(RunSteps(Input(reference, method), ranks, 20), reference.at(method));
}

// The adapter of the other tests, with peft's use_rslora.
TEST(RankStabilizedParity, LossesOfTwentySteps) {
  const TemporaryFolder folder;
  const fs::path adapter = folder.path() / "adapter";
  fs::copy(kFixtures / "lora", adapter);
  json config = json::parse(ReadFile(adapter / "adapter_config.json").value());
  config["use_rslora"] = true;
  ASSERT_TRUE(WriteFileAtomically(adapter / "adapter_config.json", config.dump()).ok());
  const json reference = json::parse(ReadFile(kFixtures / "training.json").value());
  testing::StepInput input = Input(reference, "lora");
  input.model.path = adapter;
  ExpectTwentySteps(RunSteps(input, 2, 20), reference.at("rslora"));
}

class OptimizerParity : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

// Against torch, transformers and bitsandbytes. What rounds (8 bits) or takes a sign (Lion) makes
// much of differences of the last bit.
TEST_P(OptimizerParity, LossesOfTwentySteps) {
  const auto& [name, ranks] = GetParam();
  const fs::path folder = kFixtures / "optimizers";
  const json reference = json::parse(ReadFile(folder / "expected.json").value());
  const json& expected = reference.at("runs").at(name);
  const json& o = expected.at("options");
  testing::StepInput input{
      .model = {.reference = "optimizers@1", .path = folder, .format = "huggingface"}};
  AddBatches(reference.at("batches"), input);
  input.task.method.type = "full";
  input.task.data.train.micro_batch = 2;
  input.task.optimizer = {.name = name,
                          .learning_rate = o.at("learning_rate").get<double>(),
                          .weight_decay = 0.5,
                          .beta1 = o.value("beta1", 0.0),
                          .beta2 = o.value("beta2", 0.0),
                          .schedule = "constant",
                          .momentum = o.value("momentum", 0.0)};
  const bool is_rough = name == "adamw-8bit" || name == "lion";
  ExpectTwentySteps(RunSteps(input, ranks, 20), expected, is_rough ? 1e-2 : 1e-4,
                    is_rough ? 1e-2 : 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Optimizers, OptimizerParity,
                         ::testing::Combine(::testing::Values("adamw", "adamw-8bit", "adafactor",
                                                              "sgd", "lion"),
                                            ::testing::Values(1, 2)),
                         [](const auto& info) {
                           std::string name = std::get<0>(info.param) + "_" +
                                              std::to_string(std::get<1>(info.param));
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

class PeftTrainingParity : public ::testing::TestWithParam<std::string> {};

TEST_P(PeftTrainingParity, LossesOfTwentySteps) {
  const std::string adapter = "peft/" + GetParam();
  const auto read = [&](const char* file) {
    return json::parse(ReadFile(kFixtures / adapter / file).value());
  };
  const json reference = json::parse(ReadFile(kFixtures / "training.json").value());
  const std::string base = read("expected.json").at("base");
  ExpectTwentySteps(RunSteps(Input(reference, "lora", base, adapter), 2, 20),
                    read("training.json"));
}

INSTANTIATE_TEST_SUITE_P(Peft, PeftTrainingParity, ::testing::ValuesIn(kPeftCases), PeftCaseName);

class PromptTrainingParity : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(PromptTrainingParity, LossesOfTwentySteps) {
  const auto& [name, ranks] = GetParam();
  const std::string adapter = "prompt/" + name;
  const auto read = [&](const std::string& file) {
    return json::parse(ReadFile(kFixtures / file).value());
  };
  const std::string base = read(adapter + "/expected.json").at("base");
  for (const bool shards : {false, true}) {
    if (shards && ranks == 1) continue;
    testing::StepInput input = Input(read("training.json"), "prompt-tuning", base, adapter);
    input.task.data.train.shard_optimizer = shards;
    ExpectTwentySteps(RunSteps(input, ranks, 20), read(adapter + "/training.json"));
  }
}

INSTANTIATE_TEST_SUITE_P(Prompts, PromptTrainingParity,
                         ::testing::Combine(::testing::ValuesIn(kPromptCases),
                                            ::testing::Values(1, 2)),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

class FamilyTrainingParity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
};

TEST_P(FamilyTrainingParity, LossesOfTwentySteps) {
  const auto& [family, method] = GetParam();
  const std::string adapter = family + "-lora";
  const json reference = json::parse(ReadFile(kFixtures / adapter / "training.json").value());
  ExpectTwentySteps(RunSteps(Input(reference, method, family, adapter), 2, 20),
                    reference.at(method));
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyTrainingParity,
                         ::testing::Combine(::testing::Values("mistral", "qwen2", "qwen2-window",
                                                              "qwen3", "gemma2", "gemma3", "phi3",
                                                              "phi3-partial", "phi3-longrope",
                                                              "gpt2", "t5", "flan-t5"),
                                            ::testing::Values("full", "lora")),
                         [](const auto& info) {
                           std::string name =
                               std::get<0>(info.param) + "_" + std::get<1>(info.param);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

INSTANTIATE_TEST_SUITE_P(Methods, TrainingParity,
                         ::testing::Combine(::testing::Values("full", "lora", "qlora"),
                                            ::testing::Values(1, 2)));

// The reference's tensors of these names.
NamedTensors Expected(const std::string& file, const NamedTensors& like) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : like) {
    tensors.emplace_back(name, at::empty_like(tensor.detach()));
  }
  const Status loaded =
      LoadTensorsInto(kFixtures / "regularize" / (file + ".safetensors"), tensors);
  EXPECT_TRUE(loaded.ok()) << loaded.ToString();
  return tensors;
}

NamedTensors Flat(const NamedTensors& named) {
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : named) values.push_back(tensor.detach().reshape({-1}));
  return {{"all", at::cat(values)}};
}

// The root of the mean square of all differences.
double Distance(const NamedTensors& a, const NamedTensors& b) {
  const at::Tensor difference = Flat(a)[0].second - Flat(b)[0].second;
  return difference.to(at::kDouble).square().mean().sqrt().item<double>();
}

class RegularizeParity
    : public ::testing::TestWithParam<std::tuple<std::string, std::string, int>> {};

// Losses within 1e-4, penalties and the norms of all gradients within 1e-3 of themselves, the
// Fisher information within 1e-4 of its largest value, and the weights where the reference's are:
// AdamW's steps are of size 3e-3, and the difference is below a hundredth of one.
TEST_P(RegularizeParity, TwentySteps) {
  const auto& [method, type, ranks] = GetParam();
  const json reference = json::parse(ReadFile(kFixtures / "regularize" / "expected.json").value());
  testing::StepInput input =
      Input(json::parse(ReadFile(kFixtures / "training.json").value()), method);
  input.task.regularize = {.type = type,
                           .strength = reference.at("strength").at(type).get<double>(),
                           .fisher_examples = static_cast<int>(input.shard->size())};
  const testing::StepRun run = RunSteps(input, ranks, 20);
  const json& expected = reference.at(method + "." + type);
  ASSERT_EQ(run.reports.size(), 20u);
  for (size_t i = 0; i < 20; ++i) {
    SCOPED_TRACE("step " + std::to_string(i + 1));
    EXPECT_NEAR(run.reports[i].loss, expected.at("losses")[i].get<double>(), 1e-4);
    const double norm = expected.at("grad_norms")[i].get<double>();
    EXPECT_NEAR(run.reports[i].grad_norm, norm, 1e-3 * norm);
    const double penalty = expected.at("penalties")[i].get<double>();
    EXPECT_NEAR(*run.reports[i].penalty, penalty, 1e-3 * penalty);
  }
  const NamedTensors weights = Expected(method + "." + type, run.parameters);
  EXPECT_LT(Distance(run.parameters, weights), 3e-5);
  if (type != "ewc") return;
  ASSERT_FALSE(run.fisher.empty());
  NamedTensors names;
  for (const auto& [name, tensor] : run.fisher) {
    names.emplace_back(name.substr(std::string("fisher.").size()), tensor);
  }
  const NamedTensors fisher = Expected(method + ".fisher", names);
  for (size_t p = 0; p < fisher.size(); ++p) {
    const double largest = fisher[p].second.max().item<double>();
    EXPECT_LT((run.fisher[p].second - fisher[p].second).abs().max().item<double>(), 1e-4 * largest)
        << fisher[p].first;
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, RegularizeParity,
                         ::testing::Combine(::testing::Values("full", "lora"),
                                            ::testing::Values("l2-sp", "ewc"),
                                            ::testing::Values(1, 2)));

}  // namespace
}  // namespace attune::engine
