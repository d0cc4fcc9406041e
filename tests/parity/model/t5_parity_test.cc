// What of an encoder-decoder the parity with transformers does not show by itself: what it makes of
// sources without answers, of dropout, of bfloat16 and of wrong batches, and when it stops.

#include "tests/parity/model/fixture.h"

namespace attune::engine {
namespace {

std::vector<nlohmann::json> Examples(const std::string& name) {
  return ReadJson(FixtureFolder(name) / "expected.json")["examples"];
}

TEST(EncoderDecoder, MeasuresEachRowWhereItsTokenIs) {
  const auto model = LoadFixture("flan-t5");
  const PackedBatch batch = Pack(Examples("flan-t5"));
  const double expected = Expected("flan-t5").Get("loss").item<double>();
  const Measurement some = model->Measure(batch, /*every_row=*/false);
  EXPECT_NEAR(some.losses.sum().item<double>(), expected, 1e-4 * expected);
  const Measurement all = model->Measure(batch, /*every_row=*/true);
  EXPECT_LT(AbsoluteError(all.losses, some.losses), 1e-5);
  EXPECT_EQ(all.hidden.sizes(), at::IntArrayRef({batch.tokens.size(0), 32}));
  const at::Tensor logits = model->Logits(batch, batch.target_rows).log_softmax(1);
  const at::Tensor entropies = -(logits.exp() * logits).sum(1);
  EXPECT_LT(AbsoluteError(all.entropies.index_select(0, batch.target_rows), entropies), 1e-4);
  EXPECT_NEAR(all.entropies.sum().item<double>(), entropies.sum().item<double>(), 1e-2);
}

TEST(EncoderDecoder, ASourceAloneIsRead) {
  const auto model = LoadFixture("t5");
  nlohmann::json example = Examples("t5")[1];
  const PackedBatch answered = Pack({example});
  const int64_t source = answered.sources[0];
  example["tokens"].erase(example["tokens"].begin() + source, example["tokens"].end());
  example["targets"].erase(example["targets"].begin() + source, example["targets"].end());
  const Measurement alone = model->Measure(Pack({example}), /*every_row=*/true);
  EXPECT_EQ(alone.losses.numel(), 0);
  const at::Tensor with_answer = model->Measure(answered, /*every_row=*/true).hidden;
  EXPECT_LT(AbsoluteError(alone.hidden, with_answer.narrow(0, 0, source)), 1e-5);
  EXPECT_EQ(model->LossSum(Pack({example})).item<double>(), 0);
}

TEST(EncoderDecoder, WrongBatchesAreToldApart) {
  const auto model = LoadFixture("t5");
  PackedBatch batch = Pack(Examples("t5"));
  EXPECT_THROW(model->Logits(batch, at::zeros({1}, at::kLong)), std::exception);  // of a source
  batch.sources[1] = 0;
  EXPECT_THROW(model->LossSum(batch), std::exception);
  batch.sources[1] = 1000;
  EXPECT_THROW(model->LossSum(batch), std::exception);
  batch.sources.clear();
  EXPECT_THROW(model->LossSum(batch), std::exception);
}

TEST(EncoderDecoder, WhatIsDroppedDoesNotFollowFromTheBatch) {
  const auto model = LoadFixture("flan-t5-lora");
  const Method method{.rank = 4, .alpha = 8, .dropout = 0.5};
  const Status continued = model->AddLora(method, 1);
  ASSERT_TRUE(continued.ok()) << continued.ToString();
  const PackedBatch all = Pack(Examples("flan-t5-lora"));
  const double plain = model->LossSum(all).item<double>();
  model->SetTraining(true, 7);
  const double dropped = model->LossSum(all).item<double>();
  EXPECT_GT(std::abs(dropped - plain), 1e-2);
  double separate = 0;
  for (uint32_t i = 0; i < 3; ++i) {
    PackedBatch one = Pack({Examples("flan-t5-lora")[i]});
    one.examples = {i};
    separate += model->LossSum(one).item<double>();
  }
  EXPECT_NEAR(separate, dropped, 1e-4 * dropped);
}

TEST(EncoderDecoder, BiasesTrainBesideAnAdapter) {
  const auto model = LoadFixture("flan-t5", {.frozen = true});
  const Method method{.rank = 4, .modules_to_save = {"relative_attention_bias"}};
  const Status added = model->AddLora(method, 1);
  ASSERT_TRUE(added.ok()) << added.ToString();
  model->LossSum(Pack(Examples("flan-t5"))).backward();
  // B is zero, so that the loss is the base's.
  const std::string prefix = "base_model.model.";
  size_t biases = 0;
  for (const auto& [name, tensor] : model->TrainableParameters()) {
    if (name.find("relative_attention_bias") == std::string::npos) continue;
    ++biases;
    ASSERT_TRUE(tensor.grad().defined()) << name;
    const at::Tensor wanted = Expected("flan-t5").Get("grad." + name.substr(prefix.size()));
    EXPECT_LT(RelativeError(tensor.grad(), wanted), 1e-4) << name;
  }
  EXPECT_EQ(biases, 2u);
}

TEST(EncoderDecoder, TrainsAnAdapterOnABaseInFourBits) {
  const auto model = LoadFixture("flan-t5", {.frozen = true, .nf4 = true});
  const Status added = model->AddLora({.rank = 4}, 1);
  ASSERT_TRUE(added.ok()) << added.ToString();
  const at::Tensor loss = model->LossSum(Pack(Examples("flan-t5")));
  const double expected = Expected("flan-t5").Get("loss").item<double>();
  EXPECT_NEAR(loss.item<double>(), expected, 0.05 * expected);
  loss.backward();
  const NamedTensors parameters = model->TrainableParameters();
  EXPECT_EQ(parameters.size(), 2u * (3 * 7 + 2 * 11));  // A and B of every linear layer
  for (const auto& [name, tensor] : parameters) {
    ASSERT_TRUE(tensor.grad().defined()) << name;
    EXPECT_TRUE(tensor.grad().isfinite().all().item<bool>()) << name;
  }
}

TEST(EncoderDecoder, Bfloat16IsClose) {
  for (const char* name : {"t5", "flan-t5"}) {
    const auto model = LoadFixture(name, {.precision = "bfloat16"});
    const double expected = Expected(name).Get("loss").item<double>();
    const at::Tensor loss = model->LossSum(Pack(Examples(name)));
    EXPECT_NEAR(loss.item<double>(), expected, 0.02 * expected) << name;
    loss.backward();
    for (const auto& [parameter, tensor] : model->TrainableParameters()) {
      const at::Tensor wanted = Expected(name).Get("grad." + parameter);
      const at::Tensor got = tensor.grad();
      const double cosine = (got * wanted).sum().item<double>() /
                            (got.norm() * wanted.norm()).clamp_min(1e-12).item<double>();
      EXPECT_GT(cosine, 0.95) << name << " " << parameter;
    }
  }
}

TEST(EncoderDecoder, AnAnswerEndsAtAnEndTokenOrWhenAsked) {
  const nlohmann::json expected = ReadJson(FixtureFolder("flan-t5") / "expected.json");
  const auto greedy = expected["greedy"].get<std::vector<uint32_t>>();
  const auto model = LoadFixture("flan-t5");
  size_t count = 0;
  const auto counts = [&](uint32_t) { return ++count < 5; };
  ASSERT_TRUE(model->Generate(expected["prompt"], {.max_tokens = 32}, counts).ok());
  EXPECT_EQ(count, 5u);
  const uint32_t end = greedy[10];
  const auto first = std::find(greedy.begin(), greedy.end(), end) - greedy.begin();
  std::vector<uint32_t> made;
  ASSERT_TRUE(model
                  ->Generate(expected["prompt"], {.max_tokens = 32, .end_ids = {end}},
                             [&](uint32_t token) {
                               made.push_back(token);
                               return true;
                             })
                  .ok());
  EXPECT_EQ(made, std::vector<uint32_t>(greedy.begin(), greedy.begin() + first));
  EXPECT_EQ(model->Generate({}, {}, counts).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(model->Generate({96}, {}, counts).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attune::engine
