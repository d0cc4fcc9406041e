// BERT against transformers and peft: the encoder's hidden states; of its pretraining's head
// logits, loss and gradients at masked tokens.

#include "tests/parity/model/fixture.h"

namespace attune::engine {
namespace {

constexpr double kTolerance = 1e-4;

nlohmann::json Document(const std::string& name) {
  return ReadJson(FixtureFolder(name) / "expected.json");
}

// What each row predicts where it is a target is its own token, which is masked.
PackedBatch Masked(const nlohmann::json& document) {
  PackedBatch batch = Pack(document["examples"].get<std::vector<nlohmann::json>>());
  std::vector<int64_t> rows, tokens;
  int64_t row = 0;
  for (const nlohmann::json& example : document["examples"]) {
    for (size_t i = 0; i < example["tokens"].size(); ++i, ++row) {
      if (example["targets"][i] != 1) continue;
      rows.push_back(row);
      tokens.push_back(example["tokens"][i].get<int64_t>());
    }
  }
  batch.target_rows = at::tensor(rows, at::kLong);
  batch.targets = at::tensor(tokens, at::kLong);
  batch.tokens = batch.tokens.index_fill(0, batch.target_rows, document["mask"].get<int64_t>());
  return batch;
}

TEST(BertParity, HiddenStatesEqual) {
  const auto model = LoadFixture("bert", {.encoders = true});
  const auto examples = Document("bert")["examples"].get<std::vector<nlohmann::json>>();
  const Measurement measured = model->Measure(Pack(examples), /*every_row=*/true);
  EXPECT_LT(AbsoluteError(measured.hidden, Expected("bert").Get("hidden")), kTolerance);
  EXPECT_FALSE(measured.losses.defined());
}

class MaskedParity : public testing::TestWithParam<std::tuple<std::string, bool>> {};

TEST_P(MaskedParity, LogitsLossAndGradientsEqual) {
  const auto& [name, checkpointing] = GetParam();
  LoadOptions options;
  options.activation_checkpointing = checkpointing;
  options.encoders = true;
  const auto model = LoadFixture(name, options);
  const PackedBatch batch = Masked(Document(name));
  const Expected expected(name);
  const at::Tensor rows = at::arange(batch.tokens.size(0), at::kLong);
  EXPECT_LT(AbsoluteError(model->Logits(batch, rows), expected.Get("logits")), kTolerance);
  const at::Tensor loss = model->LossSum(batch);
  EXPECT_LT(RelativeError(loss.detach().view({1}), expected.Get("loss")), kTolerance);
  const double measured = model->Measure(batch, /*every_row=*/true).losses.sum().item<double>();
  EXPECT_NEAR(measured, loss.item<double>(), 1e-3);
  loss.backward();
  const NamedTensors parameters = model->TrainableParameters();
  EXPECT_EQ(parameters.size(), expected.gradients());
  for (const auto& [parameter, tensor] : parameters) {
    const at::Tensor wanted = expected.Get("grad." + parameter);
    ASSERT_TRUE(wanted.defined()) << parameter;
    ASSERT_TRUE(tensor.grad().defined()) << parameter;
    if (parameter.ends_with("self.key.bias")) {
      // It moves all scores of a query alike, so that its gradient is zero but for rounding.
      EXPECT_LT(tensor.grad().abs().max().item<double>(), 1e-5) << parameter;
    } else {
      EXPECT_LT(RelativeError(tensor.grad(), wanted), kTolerance) << parameter;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Transformers, MaskedParity,
                         testing::Combine(testing::Values("bert-masked", "bert-masked-lora"),
                                          testing::Bool()),
                         [](const auto& info) {
                           std::string name = std::get<0>(info.param);
                           std::ranges::replace(name, '-', '_');
                           return name + (std::get<1>(info.param) ? "_checkpointing" : "");
                         });

TEST(BertParity, AnEncoderIsLoadedOnlyWhereOneIsAskedFor) {
  const auto model = LanguageModel::Load(FilesOf("bert"), {});
  EXPECT_EQ(model.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(model.status().message().find("encoder (BertModel)"), std::string::npos);
}

TEST(BertParity, AnEncoderGeneratesNothing) {
  const Status status =
      LoadFixture("bert", {.encoders = true})->Generate({1, 2}, {}, [](uint32_t) { return true; });
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("BertModel is an encoder"), std::string::npos);
}

}  // namespace
}  // namespace attune::engine
