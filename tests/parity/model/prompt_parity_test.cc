// Prompts that peft tunes: logits, gradients and answers equal to its own, the same start, and the
// same names and settings in the file that is written here. tests/parity/prompt_references.py.

#include <set>

#include "common/model/prompt_config.h"
#include "tests/parity/model/fixture.h"
#include "tests/parity/model/peft_cases.h"

namespace attune::engine {
namespace {

using nlohmann::json;

constexpr double kTolerance = 1e-4;

ModelFiles PromptFiles(const std::string& name) {
  ModelFiles files{.reference = name, .path = FixtureFolder(name), .format = "peft-adapter"};
  const std::string base = ReadJson(files.path / "expected.json")["base"];
  files.base = std::make_shared<ModelFiles>(FilesOf(base));
  return files;
}

std::unique_ptr<LanguageModel> LoadPrompted(const std::string& name,
                                            const LoadOptions& options = {}) {
  Result<std::unique_ptr<LanguageModel>> model = LanguageModel::Load(PromptFiles(name), options);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return std::move(model).value();
}

at::Tensor AllLogits(LanguageModel& model, const PackedBatch& batch) {
  return model.Logits(batch, at::arange(batch.tokens.size(0), at::kLong));
}

class PromptParity : public testing::TestWithParam<std::string> {
 protected:
  std::string name() const { return "prompt/" + GetParam(); }
  json expected() const { return ReadJson(FixtureFolder(name()) / "expected.json"); }
  std::vector<json> examples() const { return expected()["examples"]; }
};

TEST_P(PromptParity, LogitsEqual) {
  const auto model = LoadPrompted(name());
  EXPECT_LT(AbsoluteError(AllLogits(*model, Pack(examples())), Expected(name()).Get("logits")),
            kTolerance);
}

TEST_P(PromptParity, LossAndGradientEqual) {
  const Expected expected(name());
  for (const bool checkpointing : {false, true}) {
    const auto model = LoadPrompted(name(), {.activation_checkpointing = checkpointing});
    const at::Tensor loss = model->LossSum(Pack(examples()));
    EXPECT_LT(RelativeError(loss.detach().view({1}), expected.Get("loss")), kTolerance);
    loss.backward();
    const NamedTensors parameters = model->TrainableParameters();
    ASSERT_EQ(parameters.size(), 1u);
    ASSERT_EQ(parameters[0].first, kPromptTensor);
    EXPECT_LT(RelativeError(parameters[0].second.grad(), expected.Get("grad.prompt_embeddings")),
              kTolerance);
  }
}

// In a batch with another one, which ends sooner.
TEST_P(PromptParity, GreedyGenerationEqual) {
  const auto model = LoadPrompted(name());
  const auto wanted = expected()["greedy"].get<std::vector<uint32_t>>();
  ASSERT_EQ(wanted.size(), 32u);
  const auto prompt = expected()["prompt"].get<std::vector<uint32_t>>();
  const auto other = examples()[2]["tokens"].get<std::vector<uint32_t>>();
  const std::vector<LanguageModel::GeneratePrompt> prompts = {{prompt, 32}, {other, 3}};
  std::vector<std::vector<uint32_t>> answers(2);
  const Status status = model->GenerateAll(prompts, {.batch = 2},
                                           {.on_token =
                                                [&](size_t prompt, uint32_t token) {
                                                  answers[prompt].push_back(token);
                                                  return true;
                                                },
                                            .on_end = [](size_t) { return true; }});
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(answers[0], wanted);
  std::vector<uint32_t> alone;
  const Status again = model->Generate(other, {.max_tokens = 3}, [&](uint32_t token) {
    alone.push_back(token);
    return true;
  });
  ASSERT_TRUE(again.ok()) << again.ToString();
  EXPECT_EQ(answers[1], alone);
}

TEST_P(PromptParity, MeasureSeesOwnRowsOnly) {
  const auto model = LoadPrompted(name());
  const PackedBatch batch = Pack(examples());
  const Measurement every = model->Measure(batch, /*every_row=*/true);
  EXPECT_EQ(every.entropies.size(0), batch.tokens.size(0));
  EXPECT_EQ(every.hidden.size(0), batch.tokens.size(0));
  const at::Tensor logits = Expected(name()).Get("logits").log_softmax(1);
  EXPECT_LT(AbsoluteError(every.entropies, (logits.exp() * logits).sum(1).neg()), kTolerance);
  const at::Tensor losses = model->Measure(batch, /*every_row=*/false).losses;
  EXPECT_LT(AbsoluteError(every.losses, losses), kTolerance);
  EXPECT_LT(RelativeError(losses.sum().view({1}), Expected(name()).Get("loss")), kTolerance);
}

TEST_P(PromptParity, WithoutItTheModelIsItsBase) {
  const auto model = LoadPrompted(name());
  const auto base = LanguageModel::Load(*PromptFiles(name()).base, {}).value();
  const PackedBatch batch = Pack(examples());
  model->EnableAdapter(false);
  EXPECT_TRUE(at::equal(AllLogits(*model, batch), AllLogits(*base, batch)));
  EXPECT_EQ(model->max_positions(), base->max_positions());
  model->EnableAdapter(true);
  EXPECT_LT(AbsoluteError(AllLogits(*model, batch), Expected(name()).Get("logits")), kTolerance);
  EXPECT_EQ(model->max_positions(), base->max_positions() - 5);
}

// From a text, with what scales embeddings.
TEST_P(PromptParity, StartsAsPeftDoes) {
  const auto model = LoadFixture(expected()["base"]);
  const Status added =
      model->AddPrompt({.type = "prompt-tuning", .virtual_tokens = 5}, expected()["start"], 1);
  ASSERT_TRUE(added.ok()) << added.ToString();
  const at::Tensor rows = model->TrainableParameters()[0].second;
  const at::Tensor wanted = Expected(name(), "start.safetensors").Get("start");
  EXPECT_LT(AbsoluteError(rows.detach(), wanted), 1e-6);
}

TEST_P(PromptParity, WrittenAsPeftReadsIt) {
  const auto model = LoadPrompted(name());
  const ModelFiles files = PromptFiles(name());
  const json theirs = ReadJson(files.path / "adapter_config.json");
  json ours = json::parse(model->AdapterConfigJson("base"));
  ours.erase("base_model_name_or_path");
  for (const auto& [key, value] : ours.items()) EXPECT_EQ(value, theirs[key]) << key;
  const auto weights = OpenWeights(files.path).value();
  ASSERT_EQ(weights->tensors().size(), 1u);
  const auto& [tensor, info] = *weights->tensors().begin();
  const NamedTensors parameters = model->AdapterTensors(model->TrainableParameters());
  ASSERT_EQ(parameters.size(), 1u);
  EXPECT_EQ(parameters[0].first, tensor);
  EXPECT_EQ(parameters[0].second.sizes().vec(), info.shape);
}

INSTANTIATE_TEST_SUITE_P(Peft, PromptParity, testing::ValuesIn(kPromptCases), PeftCaseName);

// Of both kinds, over one base: each says what it says alone.
TEST(AdaptersOfOneBase, MayBeOfBothKinds) {
  const std::vector<json> examples =
      ReadJson(FixtureFolder("prompt/llama") / "expected.json")["examples"];
  const PackedBatch batch = Pack(examples);
  const auto model = LoadFixture("default");
  const at::Tensor base = AllLogits(*model, batch);
  ModelFiles lora = PromptFiles("peft/dora");
  ASSERT_TRUE(model->AddAdapter("prompt", PromptFiles("prompt/llama")).ok());
  ASSERT_TRUE(model->AddAdapter("lora", lora).ok());
  const at::Tensor of_lora = AllLogits(*LoadPrompted("peft/dora"), batch);
  const at::Tensor of_prompt = AllLogits(*LoadPrompted("prompt/llama"), batch);
  for (const bool prompt : {true, false, true}) {
    ASSERT_TRUE(model->UseAdapter(prompt ? "prompt" : "lora").ok());
    EXPECT_TRUE(at::equal(AllLogits(*model, batch), prompt ? of_prompt : of_lora));
  }
  ASSERT_TRUE(model->UseAdapter("").ok());
  EXPECT_TRUE(at::equal(AllLogits(*model, batch), base));
}

}  // namespace
}  // namespace attune::engine
