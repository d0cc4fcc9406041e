// Logits, losses and gradients equal to those of transformers and peft, for every family, every
// RoPE scaling, grouped heads, biases, tied and untied embeddings, and for LoRA on each.

#include "tests/parity/model/fixture.h"
#include "worker/engine/adapters/merged_weights.h"
#include "worker/engine/model/encoder_decoder.h"

namespace attune::engine {
namespace {

constexpr double kTolerance = 1e-4;

void ExpectGradients(const LanguageModel& model, const Expected& expected) {
  const NamedTensors parameters = model.TrainableParameters();
  EXPECT_EQ(parameters.size(), expected.gradients());
  for (const auto& [name, parameter] : parameters) {
    const at::Tensor wanted = expected.Get("grad." + name);
    ASSERT_TRUE(wanted.defined()) << name;
    ASSERT_TRUE(parameter.grad().defined()) << name;
    EXPECT_LT(RelativeError(parameter.grad(), wanted), kTolerance) << name;
  }
}

std::vector<nlohmann::json> Examples(const std::string& name) {
  return ReadJson(FixtureFolder(name) / "expected.json")["examples"];
}

// Of all rows, or of an encoder-decoder of those that are to predict its answers' tokens.
at::Tensor LogitsOf(LanguageModel& model, const PackedBatch& batch, const at::Tensor& expected) {
  const bool all = expected.size(0) == batch.tokens.size(0);
  return model.Logits(batch, all ? at::arange(batch.tokens.size(0), at::kLong) : batch.target_rows);
}

class ModelParity : public testing::TestWithParam<std::string> {};

TEST_P(ModelParity, LogitsEqual) {
  const PackedBatch batch = Pack(Examples(GetParam()));
  const auto model = LoadFixture(GetParam());
  const at::Tensor expected = Expected(GetParam()).Get("logits");
  EXPECT_LT(AbsoluteError(LogitsOf(*model, batch, expected), expected), kTolerance);
}

TEST_P(ModelParity, LossAndGradientsEqual) {
  const auto model = LoadFixture(GetParam());
  const Expected expected(GetParam());
  const at::Tensor loss = model->LossSum(Pack(Examples(GetParam())));
  EXPECT_LT(RelativeError(loss.detach().view({1}), expected.Get("loss")), kTolerance);
  loss.backward();
  ExpectGradients(*model, expected);
}

TEST_P(ModelParity, GreedyGenerationEqual) {
  const nlohmann::json expected = ReadJson(FixtureFolder(GetParam()) / "expected.json");
  const auto model = LoadFixture(GetParam());
  LanguageModel::GenerateOptions options;
  options.max_tokens = static_cast<int>(expected["greedy"].size());
  std::vector<uint32_t> tokens;
  const Status status = model->Generate(expected["prompt"], options, [&](uint32_t token) {
    tokens.push_back(token);
    return true;
  });
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(tokens, expected["greedy"].get<std::vector<uint32_t>>());
}

// Prompts of other lengths, more than are answered at a time: places in the batch change hands.
TEST_P(ModelParity, AnswersAtATimeAreThoseOfEachAlone) {
  const nlohmann::json expected = ReadJson(FixtureFolder(GetParam()) / "expected.json");
  const auto whole = expected["prompt"].get<std::vector<uint32_t>>();
  const auto greedy = expected["greedy"].get<std::vector<uint32_t>>();
  std::vector<LanguageModel::GeneratePrompt> prompts;
  for (size_t i = 0; i < 5; ++i) {
    const auto length = std::max<size_t>(1, whole.size() - i % 3);
    const auto most = static_cast<int>(greedy.size() - 2 * i);
    prompts.push_back({{whole.begin(), whole.begin() + static_cast<int64_t>(length)}, most});
  }
  const auto model = LoadFixture(GetParam());
  std::vector<std::vector<uint32_t>> together(prompts.size()), alone(prompts.size());
  std::vector<size_t> ended;
  const auto answer = [&](std::span<const LanguageModel::GeneratePrompt> some, int batch,
                          std::vector<uint32_t>* answers) {
    return model->GenerateAll(some, {.batch = batch},
                              {.on_token =
                                   [&](size_t prompt, uint32_t token) {
                                     answers[prompt].push_back(token);
                                     return true;
                                   },
                               .on_end =
                                   [&](size_t prompt) {
                                     ended.push_back(prompt);
                                     return true;
                                   }});
  };
  ASSERT_TRUE(answer(prompts, 2, together.data()).ok());
  std::ranges::sort(ended);
  EXPECT_EQ(ended, (std::vector<size_t>{0, 1, 2, 3, 4}));
  for (size_t i = 0; i < prompts.size(); ++i) {
    ASSERT_TRUE(answer({&prompts[i], 1}, 1, &alone[i]).ok());
  }
  EXPECT_EQ(together, alone);
  EXPECT_EQ(together[0], greedy);
  EXPECT_EQ(together[3].size(), greedy.size() - 6);
}

TEST_P(ModelParity, ActivationCheckpointingChangesNothing) {
  for (const int layers : {0, 1}) {
    LoadOptions options;
    options.activation_checkpointing = true;
    options.checkpointed_layers = layers;
    const auto model = LoadFixture(GetParam(), options);
    model->LossSum(Pack(Examples(GetParam()))).backward();
    ExpectGradients(*model, Expected(GetParam()));
  }
}

TEST_P(ModelParity, SeparateExamplesSumToThePackedBatch) {
  const auto model = LoadFixture(GetParam());
  const Expected expected(GetParam());
  double total = 0;
  for (const nlohmann::json& example : Examples(GetParam())) {
    const at::Tensor loss = model->LossSum(Pack({example}));
    loss.backward();
    total += loss.item<double>();
  }
  EXPECT_LT(RelativeError(at::full({1}, total, at::kFloat), expected.Get("loss")), kTolerance);
  ExpectGradients(*model, expected);
}

TEST_P(ModelParity, ScaledLossScalesGradients) {
  const auto model = LoadFixture(GetParam());
  (model->LossSum(Pack(Examples(GetParam()))) / 8).backward();
  const Expected expected(GetParam());
  for (const auto& [name, parameter] : model->TrainableParameters()) {
    EXPECT_LT(RelativeError(parameter.grad() * 8, expected.Get("grad." + name)), kTolerance)
        << name;
  }
}

std::vector<std::string> Cases() {
  std::vector<std::string> cases = {"default", "tied-bias", "head-dim",    "linear", "dynamic",
                                    "llama3",  "yarn",      "yarn-mscale", "lora"};
  for (const char* family : {"mistral", "qwen2", "qwen2-window", "qwen3", "gemma2", "gemma3",
                             "phi3", "phi3-partial", "phi3-longrope", "gpt2", "t5", "flan-t5"}) {
    cases.push_back(family);
    cases.push_back(std::string(family) + "-lora");
  }
  if (std::getenv("ATTUNE_PARITY_DIR") != nullptr)
    cases.insert(cases.end(), {"trained/full", "trained/lora", "trained/merged", "trained/prompt"});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Transformers, ModelParity, testing::ValuesIn(Cases()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           std::ranges::replace(name, '/', '_');
                           return name;
                         });

TEST(BareModelParity, NamesWithoutTheFirstPartAreRead) {
  const PackedBatch batch = Pack(Examples("gpt2"));
  const at::Tensor rows = at::arange(batch.tokens.size(0), at::kLong);
  EXPECT_LT(
      AbsoluteError(LoadFixture("gpt2-bare")->Logits(batch, rows), Expected("gpt2").Get("logits")),
      kTolerance);
}

class LoraParity : public testing::TestWithParam<std::string> {};

TEST_P(LoraParity, MergedWeightsGiveTheAdaptedLogits) {
  const ModelFiles files = FilesOf(GetParam());
  const std::string text = ReadModelConfig(files.base->path).value();
  const ModelConfig config = ParseModelConfig(text, "config.json").value();
  const std::string adapter = ReadFile(files.path / "adapter_config.json").value();
  const LoraConfig lora = ParseLoraConfig(adapter, config, "lora").value();
  const auto weights = OpenWeights(files.path).value();
  const auto merged = MergeWeights(OpenWeights(files.base->path).value(), lora, config, *weights);
  ASSERT_TRUE(merged.ok()) << merged.status().ToString();
  std::unique_ptr<Transformer> base = std::make_unique<Transformer>(config, LoadOptions());
  if (config.encoder) base = std::make_unique<EncoderDecoder>(config, LoadOptions());
  const Status loaded = base->LoadWeights(**merged, "merged");
  ASSERT_TRUE(loaded.ok()) << loaded.ToString();
  const PackedBatch batch = Pack(Examples(GetParam()));
  const at::Tensor expected = Expected(GetParam()).Get("logits");
  EXPECT_LT(AbsoluteError(LogitsOf(*base, batch, expected), expected), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Peft, LoraParity,
                         testing::Values("lora", "phi3-lora", "gpt2-lora", "flan-t5-lora"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace attune::engine
