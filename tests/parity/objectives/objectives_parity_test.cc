// Classification, masked tokens, preference and embedding against transformers, peft, trl and
// sentence-transformers: loss and gradients of a batch, and 20 AdamW steps. make_fixtures.py made
// the references.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/training/step_run.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/formats/weights.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kTolerance = 1e-4;

fs::path FolderOf(const std::string& name) {
  return fs::path("tests/parity/objectives/fixtures") / name;
}

json Document(const std::string& name) {
  return json::parse(ReadFile(FolderOf(name) / "expected.json").value());
}

// As worker/engine/data/example_tokens.h has them.
void AddExample(const json& example, testing::MemoryShard& shard) {
  std::vector<uint32_t> tokens;
  std::vector<uint8_t> marks;
  const bool hides = example.contains("hidden");
  const auto append = [&](const std::vector<uint32_t>& text, uint8_t first) {
    tokens.insert(tokens.end(), text.begin(), text.end());
    marks.push_back(first);
    marks.insert(marks.end(), text.size() - 1, hides ? kTarget : 0);
  };
  const auto texts = example.at("texts").get<std::vector<std::vector<uint32_t>>>();
  for (size_t t = 0; t < texts.size(); ++t) {
    const bool answers = example.contains("prompt");
    append(texts[t], t == 0 ? 0 : t == 1 && !answers ? kTarget | kTextBegins : kTextBegins);
    if (!answers) continue;
    const auto prompt = example.at("prompt").get<size_t>();
    const size_t begin = marks.size() - texts[t].size();
    for (size_t i = prompt; i < texts[t].size(); ++i) marks[begin + i] |= kTarget;
  }
  if (example.contains("label")) {
    append({example.at("label").get<uint32_t>()}, kTarget | kTextBegins);
  }
  shard.Add(tokens, marks);
}

class FixedPlan : public StepPlan {
 public:
  explicit FixedPlan(std::vector<PlannedStep> steps) : steps_(std::move(steps)) {}
  int steps() const override { return static_cast<int>(steps_.size()); }
  int steps_an_epoch() const override { return steps(); }
  uint64_t sequences_an_epoch() const override { return steps_.size(); }
  uint64_t fewest_sequences() const override { return steps_.size(); }
  PlannedStep Step(int s) const override { return steps_[static_cast<size_t>(s)]; }
  std::string Digest() const override { return "fixed"; }

 private:
  const std::vector<PlannedStep> steps_;
};

std::string TaskOf(const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (has("labels")) return "classification";
  if (has("preference")) return "preference";
  return has("masked") ? "masked-lm" : "embedding";
}

// What a loss is divided by: examples, or of hidden tokens their number.
int64_t UnitsOf(const json& batch) {
  int64_t units = 0;
  for (const json& example : batch) units += example.value("hidden", 1);
  return units;
}

testing::StepInput Input(const std::string& name, const json& document) {
  testing::StepInput input;
  input.model = {
      .reference = name + "@1", .path = FolderOf(name) / "model", .format = "huggingface"};
  input.task.method.type = "full";
  if (name.ends_with("-lora")) {
    auto base = std::make_shared<ModelFiles>(input.model);
    input.model = {.reference = "adapter@1",
                   .path = FolderOf(name) / "adapter",
                   .format = "peft-adapter",
                   .base = base};
    input.task.method = {.type = "lora", .rank = 4, .alpha = 8};
    if (name == "bert-labels-lora") input.task.method.target_modules = {"query", "value"};
    if (name == "llama-labels-lora") {
      input.task.method.target_modules = {"q_proj", "v_proj", "down_proj"};
    }
  }
  auto shard = std::make_shared<testing::MemoryShard>();
  std::vector<PlannedStep> steps;
  for (const json& batch : document.at("batches")) {
    PlannedStep& step = steps.emplace_back();
    for (const json& example : batch) {
      step.sequences.push_back({static_cast<uint32_t>(shard->size())});
      AddExample(example, *shard);
      step.tokens += shard->lengths().back();
    }
  }
  input.shard = shard;
  input.plan = std::make_shared<FixedPlan>(std::move(steps));
  TrainTask& task = input.task;
  task.data.train.micro_batch = 2;
  task.data.train.seed = 1;  // which the reference draws by
  task.data.objective.type = TaskOf(name);
  task.data.objective.beta = document.at("beta");
  task.data.objective.scale = document.at("scale");
  const json& o = document.at("options");
  task.optimizer = {.learning_rate = o.at("learning_rate"),
                    .weight_decay = o.at("weight_decay"),
                    .beta1 = o.at("beta1"),
                    .beta2 = o.at("beta2"),
                    .epsilon = o.at("epsilon"),
                    .schedule = o.at("schedule"),
                    .clip_norm = o.at("clip_norm")};
  return input;
}

class ObjectivesParity : public ::testing::TestWithParam<std::string> {};

TEST_P(ObjectivesParity, LossAndGradientsOfABatch) {
  const json document = Document(GetParam());
  testing::StepInput input = Input(GetParam(), document);
  input.task.data.base = input.model;
  auto objective = ResolveObjective(input.task.data.objective, input.model);
  ASSERT_TRUE(objective.ok()) << objective.status().ToString();
  TrainingSetup setup;
  const Status loaded = LoadForTraining(input.task, *objective, {}, setup);
  ASSERT_TRUE(loaded.ok()) << loaded.ToString();
  auto group = Group::Open({}, nullptr);
  ASSERT_TRUE(group.ok());

  const PlannedStep step = input.plan->Step(0);
  const std::span<const Sequence> all(step.sequences);
  const uint64_t draw = Random(Random(1).Next()).Next();  // of the first step by the seed 1
  ASSERT_TRUE(setup.objective->Begin({*input.shard, step, 0, {&all, 1}, draw}, **group).ok());
  auto part = setup.objective->Forward(*input.shard, all, draw);
  ASSERT_TRUE(part.ok()) << part.status().ToString();
  EXPECT_EQ(part->units, UnitsOf(document.at("batches")[0]));
  part->root.backward();

  const auto expected = OpenWeights(FolderOf(GetParam()) / "expected.safetensors").value();
  const auto get = [&](const std::string& name) {
    const auto found = expected->tensors().find(name);
    if (found == expected->tensors().end()) return at::Tensor();
    at::Tensor tensor = at::empty(found->second.shape, at::kFloat);
    const std::span<float> out(tensor.mutable_data_ptr<float>(),
                               static_cast<size_t>(tensor.numel()));
    EXPECT_TRUE(expected->ReadFloat(name, out).ok());
    return tensor;
  };
  const double loss = get("loss").item<double>();
  EXPECT_NEAR(part->loss, loss, kTolerance * std::abs(loss));
  EXPECT_EQ(setup.trainable.size() + 1, expected->tensors().size());
  for (const auto& [name, parameter] : setup.trainable) {
    const at::Tensor wanted = get("grad." + name);
    ASSERT_TRUE(wanted.defined()) << name;
    ASSERT_TRUE(parameter.grad().defined()) << name;
    const double largest = wanted.abs().max().item<double>();
    const double error = (parameter.grad() - wanted).abs().max().item<double>();
    // A key's bias moves all scores of a query alike: its gradient is zero but for rounding.
    const double least = name.ends_with("key.bias") ? 1e-1 : 1e-2;
    EXPECT_LE(error, kTolerance * std::max(largest, least)) << name;
  }
}

TEST_P(ObjectivesParity, LossesOfTwentySteps) {
  const json document = Document(GetParam());
  const auto losses = document.at("losses").get<std::vector<double>>();
  const testing::StepInput input = Input(GetParam(), document);
  for (const int ranks : {1, 2}) {
    const testing::StepRun run = RunSteps(input, ranks, static_cast<int>(losses.size()));
    ASSERT_EQ(run.reports.size(), losses.size());
    for (size_t i = 0; i < losses.size(); ++i) {
      EXPECT_NEAR(run.reports[i].loss, losses[i], kTolerance) << "step " << i + 1;
      EXPECT_EQ(run.reports[i].accuracy.has_value(), TaskOf(GetParam()) != "masked-lm");
    }
  }
}

at::Tensor HeadOf(const fs::path& folder, const std::vector<std::string>& labels) {
  const ModelFiles files{.reference = "m@1", .path = folder, .format = "huggingface"};
  auto model = LanguageModel::Load(files, {.encoders = true, .labels = labels, .seed = 4});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  if (!model.ok()) return {};
  EXPECT_EQ((*model)->labels(), labels);
  for (const auto& [name, tensor] : (*model)->TrainableParameters()) {
    if (name == "classifier.weight") return tensor.detach();
  }
  return {};
}

// As transformers does with an id2label of the same length.
TEST(Classifier, KeepsItsHeadWhereItsLabelsOnlyGetNames) {
  const TemporaryFolder folder;
  for (const char* file : {"config.json", "model.safetensors"}) {
    fs::copy_file(FolderOf("bert-labels") / "model" / file, folder.path() / file);
  }
  json config = json::parse(ReadFile(folder.path() / "config.json").value());
  config["id2label"] = {{"0", "LABEL_0"}, {"1", "LABEL_1"}, {"2", "LABEL_2"}};
  ASSERT_TRUE(WriteFileAtomically(folder.path() / "config.json", config.dump()).ok());
  const at::Tensor kept = HeadOf(folder.path(), {"LABEL_0", "LABEL_1", "LABEL_2"});
  EXPECT_TRUE(at::equal(HeadOf(folder.path(), {"bad", "fair", "good"}), kept));
  const at::Tensor drawn = HeadOf(folder.path(), {"bad", "good"});
  EXPECT_EQ(drawn.size(0), 2);
  EXPECT_TRUE(at::equal(drawn, HeadOf(folder.path(), {"bad", "good"})));
  // One whose labels have names of their own is another's.
  EXPECT_FALSE(at::equal(HeadOf(FolderOf("bert-labels") / "model", {"bad", "fair", "good"}), kept));
}

// The last step of an epoch may have fewer sequences than there are ranks.
TEST(EmbeddingObjective, AStepWithARankThatHasNothing) {
  const json document = Document("bert-embedding");
  testing::StepInput input = Input("bert-embedding", document);
  PlannedStep step = input.plan->Step(0);
  step.sequences.resize(1);
  input.plan = std::make_shared<FixedPlan>(std::vector<PlannedStep>{step});
  const double alone = RunSteps(input, 1, 1).reports.at(0).loss;
  EXPECT_EQ(RunSteps(input, 2, 1).reports.at(0).loss, alone);
}

// The reference is the model without its prompt, which a new prompt, unlike a new LoRA, is not.
TEST(PreferenceObjective, APromptIsHeldAgainstTheModelWithoutIt) {
  testing::StepInput input = Input("llama-preference", Document("llama-preference"));
  input.task.method = {.type = "prompt-tuning", .virtual_tokens = 4};
  input.task.optimizer.learning_rate = 3e-2;
  const testing::StepRun one = RunSteps(input, 1, 20), two = RunSteps(input, 2, 20);
  ASSERT_EQ(one.parameters.size(), 1u);
  EXPECT_EQ(one.parameters[0].first, "prompt_embeddings");
  EXPECT_GT(std::abs(one.reports[0].loss - std::log(2.0)), 1e-4);
  double first = 0, last = 0;
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_NEAR(one.reports[i].loss, two.reports[i].loss, 1e-4) << "step " << i + 1;
    (i < 10 ? first : last) += one.reports[i].loss;
  }
  EXPECT_LT(last, first);
}

INSTANTIATE_TEST_SUITE_P(Cases, ObjectivesParity,
                         ::testing::Values("bert-labels", "llama-labels", "gpt2-labels",
                                           "bert-labels-lora", "llama-labels-lora",
                                           "llama-preference", "llama-preference-lora",
                                           "bert-masked", "bert-embedding"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace attune::engine
