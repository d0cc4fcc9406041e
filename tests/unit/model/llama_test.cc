#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "common/base/files.h"
#include "tests/fixtures/tiny_llama.h"
#include "tests/support/temporary_folder.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {
namespace {

using ::testing::HasSubstr;

class LlamaTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(attune::testing::WriteTinyLlama(folder_.path()).ok()); }

  ModelFiles Files() const {
    ModelFiles files;
    files.reference = "tiny@1";
    files.path = folder_.path();
    files.format = "huggingface";
    return files;
  }

  std::unique_ptr<LanguageModel> Load(const LoadOptions& options = {}) const {
    Result<std::unique_ptr<LanguageModel>> model = LanguageModel::Load(Files(), options);
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    return std::move(model).value();
  }

  void ReplaceInConfig(const std::string& from, const std::string& to) const {
    std::string json = ReadFile(folder_.path() / "config.json").value();
    const size_t at = json.find(from);
    ASSERT_NE(at, std::string::npos) << from << " in " << json;
    json.replace(at, from.size(), to);
    ASSERT_TRUE(WriteFileAtomically(folder_.path() / "config.json", json).ok());
  }

  TemporaryFolder folder_;
};

PackedBatch SmallBatch() {
  PackedBatch batch;
  batch.tokens = at::tensor({5, 9, 200, 31, 7, 7, 64, 12, 100, 3}, at::kLong);
  batch.positions = at::tensor({0, 1, 2, 3, 0, 1, 2, 3, 4, 5}, at::kLong);
  batch.offsets = {0, 4, 10};
  batch.examples = {31, 8};
  batch.target_rows = at::tensor({0, 2, 5, 6, 8}, at::kLong);
  batch.targets = at::tensor({9, 31, 64, 12, 3}, at::kLong);
  return batch;
}

TEST_F(LlamaTest, LoadNamesTheTensorThatIsMissing) {
  ReplaceInConfig("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
  const auto model = LanguageModel::Load(Files(), {});
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.status().message(), HasSubstr("model.layers.2."));
  EXPECT_THAT(model.status().message(), HasSubstr("is missing"));
}

TEST_F(LlamaTest, LoadNamesTheTensorThatIsUnknown) {
  ReplaceInConfig("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
  const auto model = LanguageModel::Load(Files(), {});
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.status().message(), HasSubstr("model.layers.1."));
}

TEST_F(LlamaTest, LoadNamesTheTensorOfAnotherShape) {
  ReplaceInConfig("\"intermediate_size\": 64", "\"intermediate_size\": 48");
  const auto model = LanguageModel::Load(Files(), {});
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.status().message(), HasSubstr("mlp."));
  EXPECT_THAT(model.status().message(), HasSubstr("[32, 64]"));
  EXPECT_THAT(model.status().message(), HasSubstr("[32, 48]"));
}

TEST_F(LlamaTest, LoadRefusesAnUnknownPrecision) {
  LoadOptions options;
  options.precision = "float16";
  const auto model = LanguageModel::Load(Files(), options);
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().field(), "train.precision");
}

TEST_F(LlamaTest, NewLoraChangesNothingAndIsSeeded) {
  const auto base = Load(), first = Load(), second = Load(), other = Load();
  ASSERT_TRUE(first->AddLora(Method{}, 3).ok());
  ASSERT_TRUE(second->AddLora(Method{}, 3).ok());
  ASSERT_TRUE(other->AddLora(Method{}, 4).ok());
  EXPECT_TRUE(at::equal(base->LossSum(SmallBatch()), first->LossSum(SmallBatch())));
  const NamedTensors a = first->TrainableParameters(), b = second->TrainableParameters();
  ASSERT_EQ(a.size(), 2u * 2 * 7);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i].second, b[i].second));
  EXPECT_EQ(a[0].first, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
  EXPECT_FALSE(at::equal(a[0].second, other->TrainableParameters()[0].second));
  // Kaiming uniform with a = sqrt(5): within 1 / sqrt(inputs).
  const double largest = a[0].second.abs().max().item<double>();
  EXPECT_LE(largest, 1 / std::sqrt(32.0));
  EXPECT_GT(largest, 0.9 / std::sqrt(32.0));
}

TEST_F(LlamaTest, OnlyWhatTrainsHasGradients) {
  const auto model = Load();
  Method method;
  method.target_modules = {"v_proj"};
  ASSERT_TRUE(model->AddLora(method, 1).ok());
  model->LossSum(SmallBatch()).backward();
  for (const auto& [name, parameter] : model->TrainableParameters()) {
    EXPECT_TRUE(parameter.grad().defined()) << name;
  }
  for (const auto& [name, parameter] : model->BaseParameters()) {
    EXPECT_FALSE(parameter.requires_grad()) << name;
  }
}

// Fills B with small numbers, so that A has gradients and the adapter has an effect.
void FillAdapter(const LanguageModel& model) {
  int64_t seed = 1;
  for (const auto& [name, parameter] : model.TrainableParameters()) {
    if (name.find("lora_B") == std::string::npos) continue;
    const at::Tensor values =
        at::arange(parameter.numel(), at::kFloat) * 0.7 + static_cast<double>(seed++);
    parameter.detach().copy_(values.sin().view(parameter.sizes()) * 0.05);
  }
}

TEST_F(LlamaTest, LoraDropoutGradientIsThatOfTheMaskedForward) {
  const auto model = Load();
  Method method;
  method.rank = 4;
  method.dropout = 0.3;
  ASSERT_TRUE(model->AddLora(method, 1).ok());
  FillAdapter(*model);
  auto loss = [&] {
    model->SetTraining(true, 17);
    return model->LossSum(SmallBatch());
  };
  EXPECT_TRUE(at::equal(loss(), loss()));
  model->SetTraining(true, 18);
  EXPECT_FALSE(at::equal(model->LossSum(SmallBatch()), loss()));
  loss().backward();
  for (const auto& [name, parameter] : model->TrainableParameters()) {
    // The derivative along the gradient is its squared length.
    const at::Tensor gradient = parameter.grad(), direction = gradient / gradient.norm();
    const double step = 2e-3;
    const at::Tensor kept = parameter.detach().clone();
    parameter.detach().add_(direction, step);
    const double above = loss().item<double>();
    parameter.detach().copy_(kept).sub_(direction, step);
    const double below = loss().item<double>();
    parameter.detach().copy_(kept);
    const double length = gradient.norm().item<double>();
    EXPECT_NEAR((above - below) / (2 * step), length, 0.02 * length + 1e-3) << name;
  }
}

// The same examples in the other order, and one by one.
TEST_F(LlamaTest, DropoutFollowsTheExampleWhateverIsBesideIt) {
  const auto model = Load();
  Method method;
  method.dropout = 0.5;
  ASSERT_TRUE(model->AddLora(method, 1).ok());
  FillAdapter(*model);
  model->SetTraining(true, 17);
  PackedBatch first, second, swapped;
  first.tokens = at::tensor({5, 9, 200, 31}, at::kLong);
  first.positions = at::arange(4, at::kLong);
  first.offsets = {0, 4};
  first.examples = {31};
  first.target_rows = at::tensor({0, 2}, at::kLong);
  first.targets = at::tensor({9, 31}, at::kLong);
  second.tokens = at::tensor({7, 7, 64, 12, 100, 3}, at::kLong);
  second.positions = at::arange(6, at::kLong);
  second.offsets = {0, 6};
  second.examples = {8};
  second.target_rows = at::tensor({1, 2, 4}, at::kLong);
  second.targets = at::tensor({64, 12, 3}, at::kLong);
  swapped.tokens = at::cat({second.tokens, first.tokens});
  swapped.positions = at::cat({second.positions, first.positions});
  swapped.offsets = {0, 6, 10};
  swapped.examples = {8, 31};
  swapped.target_rows = at::cat({second.target_rows, first.target_rows + 6});
  swapped.targets = at::cat({second.targets, first.targets});
  const double sum = model->LossSum(first).item<double>() + model->LossSum(second).item<double>();
  EXPECT_NEAR(model->LossSum(SmallBatch()).item<double>(), sum, 1e-4);
  EXPECT_NEAR(model->LossSum(swapped).item<double>(), sum, 1e-4);
  first.examples = {32};
  EXPECT_GT(
      std::abs(model->LossSum(first).item<double>() + model->LossSum(second).item<double>() - sum),
      1e-3);
  first.examples.clear();
  EXPECT_ANY_THROW(model->LossSum(first));
}

TEST_F(LlamaTest, EvaluationHasNoDropout) {
  const auto model = Load();
  Method method;
  method.dropout = 0.5;
  ASSERT_TRUE(model->AddLora(method, 1).ok());
  FillAdapter(*model);
  model->SetTraining(false, 1);
  EXPECT_TRUE(at::equal(model->LossSum(SmallBatch()), model->LossSum(SmallBatch())));
}

// What a job with LoRA holds of the base: never a float32 copy of it, and no other result for it.
TEST_F(LlamaTest, FrozenWeightsAreKeptInTheTypeOfTheComputation) {
  LoadOptions options{.precision = "bfloat16"};
  const auto narrowed = Load(options);
  options.frozen = true;
  const auto frozen = Load(options);
  EXPECT_TRUE(frozen->TrainableParameters().empty());
  ASSERT_TRUE(narrowed->AddLora(Method{}, 1).ok());
  ASSERT_TRUE(frozen->AddLora(Method{}, 1).ok());
  const NamedTensors expected = narrowed->BaseParameters(), got = frozen->BaseParameters();
  ASSERT_EQ(expected.size(), got.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const auto& [name, tensor] = got[i];
    const bool norm = name.find("norm") != std::string::npos;
    EXPECT_EQ(tensor.scalar_type(), norm ? at::kFloat : at::kBFloat16) << name;
    EXPECT_TRUE(at::equal(tensor, expected[i].second)) << name;
  }
  EXPECT_TRUE(at::equal(frozen->LossSum(SmallBatch()), narrowed->LossSum(SmallBatch())));
}

TEST_F(LlamaTest, SecondLoraMustBeTheOneThatIsThere) {
  const auto model = Load();
  ASSERT_TRUE(model->AddLora(Method{}, 1).ok());
  FillAdapter(*model);
  const at::Tensor before = model->TrainableParameters()[1].second.clone();
  ASSERT_TRUE(model->AddLora(Method{}, 2).ok());
  EXPECT_TRUE(at::equal(before, model->TrainableParameters()[1].second));
  Method other;
  other.rank = 2;
  EXPECT_EQ(model->AddLora(other, 1).code(), StatusCode::kInvalidArgument);
}

TEST_F(LlamaTest, Bfloat16IsNearFloat32) {
  LoadOptions options;
  options.precision = "bfloat16";
  for (const bool lora : {false, true}) {
    const auto wide = Load(), narrow = Load(options);
    for (const auto* model : {&wide, &narrow}) {
      if (!lora) continue;
      ASSERT_TRUE((*model)->AddLora(Method{}, 1).ok());
      FillAdapter(**model);
    }
    at::Tensor expected = wide->LossSum(SmallBatch()), got = narrow->LossSum(SmallBatch());
    EXPECT_EQ(got.scalar_type(), at::kFloat);
    EXPECT_NEAR(got.item<double>(), expected.item<double>(), 0.02 * expected.item<double>());
    expected.backward();
    got.backward();
    const NamedTensors a = wide->TrainableParameters(), b = narrow->TrainableParameters();
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(b[i].second.scalar_type(), at::kFloat);
      const at::Tensor x = a[i].second.grad().flatten(), y = b[i].second.grad().flatten();
      EXPECT_GT(at::cosine_similarity(x, y, 0).item<double>(), 0.98) << a[i].first;
    }
  }
}

TEST_F(LlamaTest, TokensOutsideTheVocabularyAreRefused) {
  const auto model = Load();
  PackedBatch batch = SmallBatch();
  batch.targets[0] = model->vocabulary_size();
  EXPECT_ANY_THROW(model->LossSum(batch));
  LanguageModel::GenerateOptions options;
  EXPECT_EQ(model->Generate({100000}, options, [](uint32_t) { return true; }).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(model->Generate({}, options, [](uint32_t) { return true; }).code(),
            StatusCode::kInvalidArgument);
}

TEST_F(LlamaTest, NoTargetsIsALossOfZero) {
  const auto model = Load();
  PackedBatch batch = SmallBatch();
  batch.target_rows = batch.targets = at::empty({0}, at::kLong);
  at::Tensor loss = model->LossSum(batch);
  EXPECT_EQ(loss.item<double>(), 0);
  loss.backward();
  for (const auto& [name, parameter] : model->TrainableParameters()) {
    EXPECT_EQ(parameter.grad().abs().max().item<double>(), 0) << name;
  }
}

std::vector<uint32_t> GenerateTokens(LanguageModel& model,
                                     const LanguageModel::GenerateOptions& options,
                                     size_t most = 1000) {
  std::vector<uint32_t> tokens;
  const Status status = model.Generate({5, 9, 200}, options, [&](uint32_t token) {
    tokens.push_back(token);
    return tokens.size() < most;
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return tokens;
}

TEST_F(LlamaTest, SamplingFollowsItsSeed) {
  const auto model = Load();
  LanguageModel::GenerateOptions options;
  options.max_tokens = 24;
  options.temperature = 1.5;
  options.top_p = 0.95;
  const std::vector<uint32_t> first = GenerateTokens(*model, options);
  EXPECT_EQ(first.size(), 24u);
  EXPECT_EQ(GenerateTokens(*model, options), first);
  options.seed = 2;
  EXPECT_NE(GenerateTokens(*model, options), first);
}

TEST_F(LlamaTest, TinyTopPIsGreedy) {
  const auto model = Load();
  LanguageModel::GenerateOptions options;
  options.max_tokens = 12;
  const std::vector<uint32_t> greedy = GenerateTokens(*model, options);
  options.temperature = 1;
  options.top_p = 1e-9;
  EXPECT_EQ(GenerateTokens(*model, options), greedy);
}

TEST_F(LlamaTest, OneOfTopKIsGreedy) {
  const auto model = Load();
  LanguageModel::GenerateOptions options;
  options.max_tokens = 12;
  const std::vector<uint32_t> greedy = GenerateTokens(*model, options);
  options.temperature = 5;
  options.top_k = 1;
  EXPECT_EQ(GenerateTokens(*model, options), greedy);
}

TEST_F(LlamaTest, TopKDrawsFromAsMany) {
  const auto model = Load();
  LanguageModel::GenerateOptions options;
  options.max_tokens = 1;
  options.temperature = 100;
  options.top_k = 3;
  std::set<uint32_t> drawn;
  for (options.seed = 1; options.seed <= 60; ++options.seed) {
    drawn.insert(GenerateTokens(*model, options).front());
  }
  EXPECT_EQ(drawn.size(), 3u);
  options.top_p = 0.5;  // of these three, which are as likely at this temperature
  drawn.clear();
  for (options.seed = 1; options.seed <= 60; ++options.seed) {
    drawn.insert(GenerateTokens(*model, options).front());
  }
  EXPECT_EQ(drawn.size(), 2u);
}

TEST_F(LlamaTest, GenerationEndsWhereLogitsAreNoNumbers) {
  const auto model = Load();
  for (const auto& [name, tensor] : model->BaseParameters()) {
    if (name == "model.norm.weight") tensor.detach().fill_(NAN);
  }
  for (const double temperature : {0.0, 1.0}) {
    LanguageModel::GenerateOptions options;
    options.temperature = temperature;
    const Status status = model->Generate({1, 2}, options, [](uint32_t) { return true; });
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(status.message(), HasSubstr("logits are no finite numbers"));
  }
}

TEST_F(LlamaTest, GenerationStopsAtAnEndOrWhenTold) {
  const auto model = Load();
  LanguageModel::GenerateOptions options;
  options.max_tokens = 12;
  options.temperature = 1;
  const std::vector<uint32_t> free = GenerateTokens(*model, options);
  EXPECT_EQ(GenerateTokens(*model, options, 4).size(), 4u);
  options.end_ids = {free[5]};
  const std::vector<uint32_t> ended = GenerateTokens(*model, options);
  EXPECT_LE(ended.size(), 5u);
  EXPECT_THAT(ended, ::testing::Not(::testing::Contains(free[5])));
}

}  // namespace
}  // namespace attune::engine
