// Adapters of every kind that peft makes: logits and gradients equal to its own, alone and merged,
// and the same names and settings in the file that is written here.
// tests/parity/peft_references.py.

#include <set>

#include "tests/parity/model/fixture.h"
#include "tests/parity/model/peft_cases.h"
#include "worker/engine/adapters/merged_weights.h"
#include "worker/engine/model/transformer.h"

namespace attune::engine {
namespace {

using nlohmann::json;

constexpr double kTolerance = 1e-4;

ModelFiles AdapterFiles(const std::string& name) {
  ModelFiles files{.reference = name, .path = FixtureFolder(name), .format = "peft-adapter"};
  const std::string base = ReadJson(files.path / "expected.json")["base"];
  files.base = std::make_shared<ModelFiles>(FilesOf(base));
  return files;
}

std::unique_ptr<LanguageModel> LoadAdapted(const std::string& name,
                                           const LoadOptions& options = {}) {
  Result<std::unique_ptr<LanguageModel>> model = LanguageModel::Load(AdapterFiles(name), options);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return std::move(model).value();
}

class PeftParity : public testing::TestWithParam<std::string> {
 protected:
  std::string name() const { return "peft/" + GetParam(); }
  std::vector<json> examples() const {
    return ReadJson(FixtureFolder(name()) / "expected.json")["examples"];
  }
  at::Tensor AllLogits(LanguageModel& model) const {
    const PackedBatch batch = Pack(examples());
    return model.Logits(batch, at::arange(batch.tokens.size(0), at::kLong));
  }
};

TEST_P(PeftParity, LogitsEqual) {
  EXPECT_LT(AbsoluteError(AllLogits(*LoadAdapted(name())), Expected(name()).Get("logits")),
            kTolerance);
}

void ExpectGradients(LanguageModel& model, const PackedBatch& batch, const Expected& expected) {
  const at::Tensor loss = model.LossSum(batch);
  EXPECT_LT(RelativeError(loss.detach().view({1}), expected.Get("loss")), kTolerance);
  loss.backward();
  const NamedTensors parameters = model.TrainableParameters();
  EXPECT_EQ(parameters.size(), expected.gradients());
  for (const auto& [name, parameter] : parameters) {
    const at::Tensor wanted = expected.Get("grad." + name);
    ASSERT_TRUE(wanted.defined()) << name;
    ASSERT_TRUE(parameter.grad().defined()) << name;
    EXPECT_EQ(parameter.scalar_type(), at::kFloat) << name;
    EXPECT_LT(RelativeError(parameter.grad(), wanted), kTolerance) << name;
  }
}

TEST_P(PeftParity, LossAndGradientsEqual) {
  for (const bool checkpointing : {false, true}) {
    const auto model = LoadAdapted(name(), {.activation_checkpointing = checkpointing});
    ExpectGradients(*model, Pack(examples()), Expected(name()));
  }
}

TEST_P(PeftParity, GreedyGenerationEqual) {
  const json expected = ReadJson(FixtureFolder(name()) / "expected.json");
  LanguageModel::GenerateOptions options;
  options.max_tokens = static_cast<int>(expected["greedy"].size());
  std::vector<uint32_t> tokens;
  const Status status =
      LoadAdapted(name())->Generate(expected["prompt"], options, [&](uint32_t token) {
        tokens.push_back(token);
        return true;
      });
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(tokens, expected["greedy"].get<std::vector<uint32_t>>());
}

TEST_P(PeftParity, WithoutItTheModelIsItsBase) {
  const auto model = LoadAdapted(name());
  const auto base = LanguageModel::Load(*AdapterFiles(name()).base, {}).value();
  model->EnableAdapter(false);
  EXPECT_TRUE(at::equal(AllLogits(*model), AllLogits(*base)));
  const NamedTensors expected = base->BaseParameters();
  for (const bool enabled : {false, true}) {
    model->EnableAdapter(enabled);
    const NamedTensors got = model->BaseParameters();
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_TRUE(at::equal(got[i].second, expected[i].second)) << got[i].first;
    }
  }
  EXPECT_LT(AbsoluteError(AllLogits(*model), Expected(name()).Get("logits")), kTolerance);
}

TEST_P(PeftParity, MergedWeightsGiveTheAdaptedLogits) {
  const ModelFiles files = AdapterFiles(name());
  const ModelConfig config =
      ParseModelConfig(ReadModelConfig(files.base->path).value(), "config.json").value();
  const LoraConfig lora =
      ParseLoraConfig(ReadFile(files.path / "adapter_config.json").value(), config, "adapter")
          .value();
  const auto adapter = OpenWeights(files.path).value();
  const auto merged = MergeWeights(OpenWeights(files.base->path).value(), lora, config, *adapter);
  ASSERT_TRUE(merged.ok()) << merged.status().ToString();
  Transformer base(config, {});
  const Status loaded = base.LoadWeights(**merged, "merged");
  ASSERT_TRUE(loaded.ok()) << loaded.ToString();
  EXPECT_LT(AbsoluteError(AllLogits(base), Expected(name()).Get("logits")), kTolerance);
}

// Of a module that peft keeps apart its files have the base's bias, and its own again.
bool IsLeftOver(const std::string& tensor) {
  return tensor.find(".original_module.") != std::string::npos ||
         tensor.find(".modules_to_save.") != std::string::npos;
}

TEST_P(PeftParity, WrittenAsPeftReadsIt) {
  const auto model = LoadAdapted(name());
  std::set<std::string> names;
  for (const auto& [tensor, value] : model->AdapterTensors(model->TrainableParameters())) {
    names.insert(tensor);
  }
  const auto weights = OpenWeights(FixtureFolder(name())).value();
  for (const auto& [tensor, info] : weights->tensors()) {
    EXPECT_NE(names.contains(tensor), IsLeftOver(tensor)) << tensor;
    names.erase(tensor);
  }
  EXPECT_EQ(names, std::set<std::string>());
  // Modules, ranks and scales come out of the configuration as they went in.
  const ModelFiles files = AdapterFiles(name());
  const ModelConfig config =
      ParseModelConfig(ReadModelConfig(files.base->path).value(), "config.json").value();
  const std::string theirs = ReadFile(files.path / "adapter_config.json").value();
  const LoraConfig read = ParseLoraConfig(theirs, config, "theirs").value();
  const Result<LoraConfig> again =
      ParseLoraConfig(model->AdapterConfigJson("base"), config, "ours");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->own, read.own);
  ASSERT_EQ(again->modules.size(), read.modules.size());
  for (size_t i = 0; i < read.modules.size(); ++i) {
    EXPECT_EQ(again->modules[i].name, read.modules[i].name);
    EXPECT_EQ(again->modules[i].rank, read.modules[i].rank);
    EXPECT_EQ(again->scale(again->modules[i]), read.scale(read.modules[i]));
  }
}

// The norms are kept until SetTraining, so that these are differences with norms as constants,
// which is what peft's gradients are of. On a base in 4 bits, too.
TEST(Dora, GradientsUnderDropoutAreThoseOfTheForward) {
  PackedBatch batch = Pack(ReadJson(FixtureFolder("peft/dora") / "expected.json")["examples"]);
  batch.examples = {4, 9, 7};
  for (const bool nf4 : {false, true}) {
    const auto model = LoadAdapted("peft/dora", {.frozen = true, .nf4 = nf4});
    const Status continued = model->AddLora(
        {.type = "lora", .rank = 4, .alpha = 8, .dropout = 0.3, .dora = true}, /*seed=*/1);
    ASSERT_TRUE(continued.ok()) << continued.ToString();
    model->SetTraining(true, 17);
    const auto loss = [&] { return model->LossSum(batch); };
    loss().backward();
    for (const auto& [name, parameter] : model->TrainableParameters()) {
      // The derivative along the gradient is its squared length.
      const at::Tensor gradient = parameter.grad(), direction = gradient / gradient.norm();
      const double step = 4e-3, length = gradient.norm().item<double>();
      const at::Tensor kept = parameter.detach().clone();
      parameter.detach().add_(direction, step);
      const double above = loss().item<double>();
      parameter.detach().copy_(kept).sub_(direction, step);
      const double below = loss().item<double>();
      parameter.detach().copy_(kept);
      EXPECT_NEAR((above - below) / (2 * step), length, 0.02 * length + 0.02) << name;
    }
  }
}

// Each says what it says alone, in any order, and none of them changes the base.
TEST(AdaptersOfOneBase, AreApart) {
  const PackedBatch batch =
      Pack(ReadJson(FixtureFolder("peft/dora") / "expected.json")["examples"]);
  const at::Tensor rows = at::arange(batch.tokens.size(0), at::kLong);
  const auto model = LoadFixture("default");
  const at::Tensor base = model->Logits(batch, rows);
  const std::vector<std::string> names = {"saved", "dora", "layers"};
  for (const std::string& name : names) {
    const Status added = model->AddAdapter(name, AdapterFiles("peft/" + name));
    ASSERT_TRUE(added.ok()) << added.ToString();
  }
  for (const std::string& name : {names[1], names[0], names[2], names[0]}) {
    ASSERT_TRUE(model->UseAdapter(name).ok());
    const auto alone = LoadAdapted("peft/" + name);
    EXPECT_TRUE(at::equal(model->Logits(batch, rows), alone->Logits(batch, rows))) << name;
    EXPECT_EQ(model->TrainableParameters().size(), alone->TrainableParameters().size());
    ASSERT_TRUE(model->UseAdapter("").ok());
    EXPECT_TRUE(at::equal(model->Logits(batch, rows), base));
  }
  const Status unknown = model->UseAdapter("other");
  EXPECT_EQ(unknown.code(), StatusCode::kNotFound);
  EXPECT_NE(unknown.message().find("dora, layers, saved"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Peft, PeftParity, testing::ValuesIn(kPeftCases), PeftCaseName);

}  // namespace
}  // namespace attune::engine
