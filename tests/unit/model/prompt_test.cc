// A prompt before packed examples: the rows of each stay its own.

#include "worker/engine/model/prompt.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fixtures/tiny_llama.h"
#include "tests/support/packed_batch.h"
#include "tests/support/temporary_folder.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {
namespace {

using ::testing::HasSubstr;

constexpr int kRows = 4;

Method Prompt(int rows = kRows) {
  return {.type = "prompt-tuning", .virtual_tokens = rows};
}

TEST(BehindPrompt, IsUndoneByWithoutPrompt) {
  const std::vector<int64_t> offsets = {0, 3, 4, 6};
  EXPECT_EQ(OffsetsBehindPrompt(offsets, 2), (std::vector<int64_t>{0, 5, 8, 12}));
  EXPECT_EQ(OffsetsBehindPrompt(offsets, 0), offsets);
  const at::Tensor rows = at::arange(12, at::kFloat).view({6, 2});
  const at::Tensor prompt = at::full({2, 2}, -1.0);
  const at::Tensor joined = BehindPrompt(prompt, rows, offsets);
  ASSERT_EQ(joined.size(0), 12);
  EXPECT_TRUE(at::equal(joined.narrow(0, 5, 2), prompt));
  EXPECT_TRUE(at::equal(joined.narrow(0, 7, 1), rows.narrow(0, 3, 1)));
  EXPECT_TRUE(at::equal(WithoutPrompt(joined, 2, offsets), rows));
}

// In bfloat16 a thousand examples' ones would stay at 256.
TEST(BehindPrompt, GradientsAreSummedInTheTypeOfThePrompt) {
  const at::Tensor prompt = at::zeros({1, 2}).requires_grad_(true);
  std::vector<int64_t> offsets(1001);
  for (size_t e = 0; e < offsets.size(); ++e) offsets[e] = static_cast<int64_t>(e);
  BehindPrompt(prompt, at::zeros({1000, 2}, at::kBFloat16), offsets).sum().backward();
  EXPECT_TRUE(at::equal(prompt.grad(), at::full({1, 2}, 1000.0)));
}

class PromptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(attune::testing::WriteTinyLlama(folder_.path(), {.positions = 40}).ok());
  }
  std::unique_ptr<LanguageModel> Load(const LoadOptions& options = {}) const {
    auto model = LanguageModel::Load(
        {.reference = "tiny@1", .path = folder_.path(), .format = "huggingface"}, options);
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    return std::move(model).value();
  }
  std::unique_ptr<LanguageModel> Prompted(const LoadOptions& options = {}) const {
    auto model = Load(options);
    const Status added = model->AddPrompt(Prompt(), {5, 9, 200}, 1);
    EXPECT_TRUE(added.ok()) << added.ToString();
    return model;
  }

  TemporaryFolder folder_;
};

std::vector<MarkedTokens> Examples() {
  return {{{7, 1, 8, 2, 8, 1}, {0, 1, 1, 0, 1, 1}},
          {{90, 4}, {0, 1}},
          {{3, 14, 15, 92, 65, 35, 89}, {0, 0, 0, 1, 0, 1, 1}}};
}

TEST_F(PromptTest, PackedExamplesAreAsEachAlone) {
  for (const bool checkpointing : {false, true}) {
    const auto together = Prompted({.activation_checkpointing = checkpointing});
    const auto apart = Prompted();
    const at::Tensor loss = together->LossSum(PackExamples(Examples()));
    loss.backward();
    double sum = 0;
    std::vector<at::Tensor> means;
    for (const MarkedTokens& example : Examples()) {
      const at::Tensor alone = apart->LossSum(PackExamples({example}));
      alone.backward();
      sum += alone.item<double>();
      means.push_back(apart->MeanHidden(PackExamples({example})));
    }
    EXPECT_NEAR(loss.item<double>(), sum, 1e-4);
    const at::Tensor a = together->TrainableParameters()[0].second.grad(),
                     b = apart->TrainableParameters()[0].second.grad();
    EXPECT_TRUE(at::allclose(a, b, 1e-4, 1e-6));
    EXPECT_GT(a.abs().max().item<double>(), 1e-4);
    EXPECT_TRUE(
        at::allclose(together->MeanHidden(PackExamples(Examples())), at::cat(means), 1e-4, 1e-5));
  }
}

// A prompt of a text's embedded tokens is that text.
TEST_F(PromptTest, ItIsAsTheTokensThatItStartsAs) {
  const auto model = Prompted();
  const std::vector<int64_t> start = {5, 9, 200, 5};
  MarkedTokens whole = Examples()[0];
  whole.tokens.insert(whole.tokens.begin(), start.begin(), start.end());
  whole.targets.insert(whole.targets.begin(), start.size(), 0);
  const PackedBatch batch = PackExamples({Examples()[0]}), longer = PackExamples({whole});
  const auto base = Load();
  EXPECT_NEAR(model->LossSum(batch).item<double>(), base->LossSum(longer).item<double>(), 1e-5);
  const auto answer = [](LanguageModel& of, const std::vector<int64_t>& tokens) {
    std::vector<uint32_t> made;
    const Status status =
        of.Generate({tokens.begin(), tokens.end()}, {.max_tokens = 6}, [&](uint32_t token) {
          made.push_back(token);
          return true;
        });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return made;
  };
  EXPECT_EQ(answer(*model, Examples()[0].tokens), answer(*base, whole.tokens));
}

TEST_F(PromptTest, OnlyThePromptTrains) {
  const auto model = Prompted({.precision = "bfloat16"});
  model->LossSum(PackExamples(Examples())).backward();
  const NamedTensors trainable = model->TrainableParameters();
  ASSERT_EQ(trainable.size(), 1u);
  EXPECT_EQ(trainable[0].first, "prompt_embeddings");
  EXPECT_EQ(trainable[0].second.scalar_type(), at::kFloat);
  EXPECT_TRUE(trainable[0].second.grad().defined());
  for (const auto& [name, parameter] : model->BaseParameters()) {
    EXPECT_FALSE(parameter.requires_grad()) << name;
  }
}

TEST_F(PromptTest, WithoutATextItStartsAsTokensOfTheSeed) {
  const auto rows = [&](uint64_t seed) {
    const auto model = Load();
    EXPECT_TRUE(model->AddPrompt(Prompt(), {}, seed).ok());
    return model->TrainableParameters()[0].second.detach();
  };
  EXPECT_TRUE(at::equal(rows(3), rows(3)));
  EXPECT_FALSE(at::equal(rows(3), rows(4)));
  // Each is a row of the embedding.
  const at::Tensor embedding = Load()->BaseParameters()[0].second.detach();
  const at::Tensor distances = at::cdist(rows(3), embedding);
  EXPECT_LT(std::get<0>(distances.min(1)).max().item<double>(), 1e-3);
}

TEST_F(PromptTest, TakesPositionsFromTokens) {
  const auto model = Prompted();
  EXPECT_EQ(model->max_positions(), 40 - kRows);
  model->EnableAdapter(false);
  EXPECT_EQ(model->max_positions(), 40);
  const Status status = Load()->AddPrompt(Prompt(39), {}, 1);
  EXPECT_EQ(status.field(), "method.virtual_tokens");
}

TEST_F(PromptTest, ASecondOneMustBeTheOneThatIsThere) {
  const auto model = Prompted();
  const at::Tensor before = model->TrainableParameters()[0].second.detach().clone();
  ASSERT_TRUE(model->AddPrompt(Prompt(), {1}, 2).ok());
  EXPECT_TRUE(at::equal(before, model->TrainableParameters()[0].second));
  for (const Status& status : {model->AddPrompt(Prompt(5), {}, 1), model->AddLora(Method{}, 1)}) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(status.field(), "method");
    EXPECT_THAT(status.message(), HasSubstr("has a prompt of 4 virtual tokens"));
  }
  const auto adapted = Load();
  ASSERT_TRUE(adapted->AddLora(Method{}, 1).ok());
  EXPECT_THAT(adapted->AddPrompt(Prompt(), {}, 1).message(), HasSubstr("has a LoRA adapter"));
}

TEST_F(PromptTest, ATextOfAnotherVocabularyIsRefused) {
  const Status status = Load()->AddPrompt(Prompt(), {1, 5000}, 1);
  EXPECT_EQ(status.field(), "method.init_text");
  EXPECT_THAT(status.message(), HasSubstr("5000"));
}

}  // namespace
}  // namespace attune::engine
