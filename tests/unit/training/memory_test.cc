#include "worker/engine/tasks/memory.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace attune::engine {
namespace {

struct Shape {
  int64_t hidden = 576, intermediate = 1536, layers = 30, heads = 9, key_value_heads = 3,
          vocabulary = 49152;
  bool tied = true;
};
constexpr Shape kSmolLM2;

ModelConfig Config(const Shape& s) {
  const nlohmann::json json = {{"model_type", "llama"},
                               {"hidden_size", s.hidden},
                               {"intermediate_size", s.intermediate},
                               {"num_hidden_layers", s.layers},
                               {"num_attention_heads", s.heads},
                               {"num_key_value_heads", s.key_value_heads},
                               {"vocab_size", s.vocabulary},
                               {"tie_word_embeddings", s.tied}};
  return ParseModelConfig(json.dump(), "config.json").value();
}

TrainTask Task(const std::string& method) {
  TrainTask task;
  task.method = {.type = method, .rank = 16};
  return task;
}

TEST(ShapeOf, CountsParametersOnceAndThoseOfLora) {
  const auto full = ShapeOf(Config(kSmolLM2), {.type = "full"});
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->parameters, 134515008);
  EXPECT_EQ(full->trainable_parameters, 134515008);
  const auto lora = ShapeOf(Config(kSmolLM2), {.type = "lora", .rank = 16});
  EXPECT_EQ(lora->trainable_parameters, 4884480);
  EXPECT_EQ(lora->parameters, 134515008 + 4884480);
}

TEST(ShapeOf, CountsAPromptsRows) {
  const auto prompt = ShapeOf(Config(kSmolLM2), {.type = "prompt-tuning", .virtual_tokens = 20});
  ASSERT_TRUE(prompt.ok()) << prompt.status().ToString();
  EXPECT_EQ(prompt->trainable_parameters, 20 * 576);
  EXPECT_FALSE(prompt->head_trains);
}

// Every way to name modules that training knows.
TEST(ShapeOf, CountsTheModulesThatTrainingWouldAdapt) {
  const int64_t q = 576 + 576, k = 192 + 576, up = 1536 + 576;
  const std::vector<std::pair<std::vector<std::string>, int64_t>> cases = {
      {{"q_proj"}, 30 * q},
      {{"attention"}, 30 * (2 * q + 2 * k)},
      {{"mlp"}, 30 * 3 * up},
      {{"self_attn.k_proj", "layers.3.mlp.up_proj"}, 30 * k + up},
      {{"q_proj", "self_attn.q_proj"}, 30 * q}};
  for (const auto& [targets, widths] : cases) {
    const auto shape =
        ShapeOf(Config(kSmolLM2), {.type = "lora", .rank = 8, .target_modules = targets});
    ASSERT_TRUE(shape.ok()) << shape.status().ToString();
    EXPECT_EQ(shape->trainable_parameters, 8 * widths) << targets[0];
  }
  const auto whole = ShapeOf(Config(kSmolLM2), {.type = "lora",
                                                .rank = 8,
                                                .target_modules = {"q_proj"},
                                                .modules_to_save = {"lm_head", "model.norm"},
                                                .layers = {3, 4}});
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  EXPECT_EQ(whole->trainable_parameters, 8 * 2 * q + 49152 * 576 + 576);
  EXPECT_TRUE(whole->head_trains);
  const auto wrong =
      ShapeOf(Config(kSmolLM2), {.type = "lora", .rank = 8, .target_modules = {"qproj"}});
  EXPECT_EQ(wrong.status().field(), "method.target_modules");
}

struct Case {
  Shape shape;
  const char* method;
  MicroBatchShape batch;
  double measured;
  bool checkpointing = false;
  const char* precision = "float32";
};

double Predicted(const Case& c, bool gpu = false) {
  TrainTask task = Task(c.method);
  task.data.train.activation_checkpointing = c.checkpointing;
  task.data.train.precision = c.precision;
  const auto model = ShapeOf(Config(c.shape), task.method);
  return static_cast<double>(PredictMemory(*model, c.batch, task, {.gpu = gpu}).total());
}

// Peak resident sizes of whole runs on the machine of docs/benchmarks.md.
TEST(PredictMemory, IsCloseToWhatWasMeasured) {
  const MicroBatchShape two{.tokens = 500, .targets = 380, .micro_batches_max = 2};
  const MicroBatchShape one{.tokens = 510, .targets = 390, .micro_batches_max = 1};
  const std::vector<Case> cases = {{kSmolLM2, "full", two, 2.909e9},
                                   {kSmolLM2, "full", two, 2.645e9, true},
                                   {kSmolLM2, "full", one, 2.408e9},
                                   {kSmolLM2, "lora", two, 1.277e9}};
  for (const Case& c : cases) {
    EXPECT_NEAR(Predicted(c) / c.measured, 1.0, 0.06) << c.method << " " << c.checkpointing;
  }
}

// Peaks of tests/bench/train_bench on random models: it has no gRPC, some 50 MB less than a
// trainer.
TEST(PredictMemory, IsWithinATenthOnOtherShapes) {
  const Shape wide{768, 2048, 12, 12, 12, 32000, false}, grouped{1024, 4096, 8, 16, 2, 16000},
      deep{256, 1024, 24, 8, 4, 8000};
  auto batch = [](int64_t tokens, int64_t micro_batches) {
    return MicroBatchShape{tokens, tokens - tokens / 170, micro_batches};
  };
  const std::vector<Case> cases = {{wide, "full", batch(511, 2), 2.704e9},
                                   {wide, "full", batch(511, 2), 2.545e9, true},
                                   {kSmolLM2, "qlora", batch(511, 2), 0.939e9},
                                   {wide, "lora", batch(511, 2), 1.032e9},
                                   {wide, "lora", batch(511, 2), 0.715e9, false, "bfloat16"},
                                   {grouped, "full", batch(511, 1), 2.439e9},
                                   {grouped, "lora", batch(255, 1), 0.889e9},
                                   {deep, "full", batch(4090, 2), 2.228e9},
                                   {deep, "full", batch(4090, 2), 1.671e9, false, "bfloat16"},
                                   {deep, "lora", batch(4090, 2), 1.909e9},
                                   {deep, "lora", batch(4090, 1), 0.775e9, true}};
  for (const Case& c : cases) {
    EXPECT_NEAR(Predicted(c) / c.measured, 1.0, 0.1)
        << c.shape.hidden << " " << c.method << " " << c.checkpointing << " " << c.precision
        << " predicted " << Predicted(c);
  }
}

// What docs/gpu.md has of one H200: Llama-3.2-1B's shape, 4 x 2048 tokens a micro-batch.
TEST(PredictMemory, IsWithinATenthOnAGpu) {
  const Shape llama{2048, 8192, 16, 32, 8, 128256};
  const MicroBatchShape batch{8192, 8188, 2};
  const double gib = 1 << 30;
  const std::vector<Case> cases = {{llama, "lora", batch, 10.7 * gib, false, "bfloat16"},
                                   {llama, "full", batch, 27.9 * gib, false, "bfloat16"}};
  for (const Case& c : cases) {
    EXPECT_NEAR(Predicted(c, /*gpu=*/true) / c.measured, 1.0, 0.1)
        << c.method << " predicted " << Predicted(c, true);
  }
}

// Where attention is not fused, one example's scores are held.
TEST(PredictMemory, CountsTheScoresOfAGpu) {
  const int64_t length = 8192;
  TrainTask task = Task("lora");
  task.data.train.sequence_length = length;
  ModelConfig config = Config(kSmolLM2);
  const MicroBatchShape batch{length, length, 1};
  const auto need = [&](bool gpu) {
    return PredictMemory(*ShapeOf(config, task.method), batch, task, {.gpu = gpu}).activations;
  };
  const int64_t fused = need(true), on_cpu = need(false);
  // In place of the logits, which are gone when backward comes to the layers.
  const int64_t logits = int64_t{128 << 20} * 4;
  const int64_t scores = 5 * config.heads * length * length * 4 - logits;
  config.attention_softcap = 50;
  EXPECT_EQ(need(true) - fused, scores);
  EXPECT_EQ(need(false), on_cpu);
  config.attention_softcap = 0;
  config.windows.assign(static_cast<size_t>(config.layers), length);
  EXPECT_EQ(need(true), fused);
  config.windows.back() = 4096;
  EXPECT_EQ(need(true) - fused, scores);
}

ModelConfig T5(int64_t encoder_layers) {
  const nlohmann::json json = {
      {"model_type", "t5"}, {"num_layers", encoder_layers}, {"num_decoder_layers", 6}};
  return ParseModelConfig(json.dump(), "config.json").value();
}

// T5-small has 60.5 million parameters, 0.59 million in a LoRA of rank 8 on all its linear layers.
TEST(ShapeOf, CountsBothStacksOfAnEncoderDecoder) {
  EXPECT_EQ(ShapeOf(T5(6), {.type = "full"})->parameters, 60506624);
  const auto lora = ShapeOf(T5(6), {.type = "lora", .rank = 1});
  EXPECT_EQ(lora->trainable_parameters, 18 * 4 * 1024 + 12 * 2 * 2560);
}

TEST(PredictMemory, AnEncoderDecodersTokensGoThroughOneStackEach) {
  TrainTask task = Task("full");
  task.data.train.sequence_length = 512;
  const auto model = *ShapeOf(T5(6), task.method), shallow = *ShapeOf(T5(1), task.method);
  const auto activations = [&](const ModelShape& shape, int64_t sources, int64_t answers) {
    const MicroBatchShape batch{
        .tokens = sources + answers, .targets = answers, .micro_batches_max = 2};
    return PredictMemory(shape, batch, task).activations;
  };
  EXPECT_GT(activations(model, 400, 50), activations(shallow, 400, 50));
  EXPECT_EQ(activations(model, 0, 50), activations(shallow, 0, 50));
  EXPECT_GT(activations(model, 50, 400), activations(model, 400, 50));  // a decoder keeps more
}

TEST(PredictMemory, CountsWhatAPenaltyKeeps) {
  for (const char* method : {"full", "lora"}) {
    TrainTask task = Task(method);
    const auto model = *ShapeOf(Config(kSmolLM2), task.method);
    const int64_t plain = PredictMemory(model, {}, task).total();
    task.regularize.type = "l2-sp";
    EXPECT_EQ(PredictMemory(model, {}, task).total() - plain, 4 * model.trainable_parameters);
    task.regularize.type = "ewc";
    EXPECT_EQ(PredictMemory(model, {}, task).total() - plain, 8 * model.trainable_parameters);
  }
}

TEST(PredictMemory, CountsWhatEachOptimizerKeeps) {
  TrainTask task = Task("full");
  const auto model = *ShapeOf(Config(kSmolLM2), task.method);
  const int64_t numbers = model.trainable_parameters;
  auto bytes = [&](const char* name, double momentum = 0) {
    task.optimizer = {.name = name, .momentum = momentum};
    return PredictMemory(model, {}, task).optimizer;
  };
  EXPECT_EQ(bytes("adamw"), 8 * numbers);
  EXPECT_EQ(bytes("lion"), 4 * numbers);
  EXPECT_EQ(bytes("sgd", 0.9), 4 * numbers);
  EXPECT_EQ(bytes("sgd"), 0);
  // A byte a number and moment, a scale a block, and the norms, which are small, as AdamW's.
  const int64_t norms = (2 * 30 + 1) * 576;
  EXPECT_EQ(bytes("adamw-8bit"),
            2 * (numbers - norms) + 2 * (numbers - norms) / 256 * 4 + 8 * norms);
  EXPECT_LT(bytes("adafactor"), numbers / 50);
}

TEST(PredictMemory, CountsTheAverages) {
  TrainTask task = Task("lora");
  const auto model = *ShapeOf(Config(kSmolLM2), task.method);
  const int64_t plain = PredictMemory(model, {}, task).total();
  task.data.train.ema_decay = 0.99;
  EXPECT_EQ(PredictMemory(model, {}, task).total() - plain, 4 * model.trainable_parameters);
}

TEST(PredictMemory, DividesTheOptimizerAmongRanksWhereItIsInParts) {
  TrainTask task = Task("full");
  const auto model = *ShapeOf(Config(kSmolLM2), task.method);
  const int64_t whole = PredictMemory(model, {}, task, {.world_size = 4}).optimizer;
  task.data.train.shard_optimizer = true;
  const int64_t part = PredictMemory(model, {}, task, {.world_size = 4}).optimizer;
  EXPECT_EQ(PredictMemory(model, {}, task, {.world_size = 1}).optimizer, whole);
  EXPECT_GE(part, whole / 4);
  EXPECT_LT(part, whole / 4 + whole / 100);
}

TEST(PredictMemory, ShrinksWithCheckpointingOneMicroBatchAndLora) {
  const MicroBatchShape two{.tokens = 512, .targets = 512, .micro_batches_max = 2};
  const MicroBatchShape one{.tokens = 512, .targets = 512, .micro_batches_max = 1};
  TrainTask task = Task("full");
  const auto model = *ShapeOf(Config(kSmolLM2), task.method);
  const int64_t plain = PredictMemory(model, two, task).total();
  EXPECT_LT(PredictMemory(model, one, task).total(), plain);
  task.data.train.activation_checkpointing = true;
  const int64_t all = PredictMemory(model, two, task).total();
  EXPECT_LT(all, plain);
  // Between the two, the more the fewer layers.
  task.data.train.checkpointed_layers = 10;
  const int64_t some = PredictMemory(model, two, task).total();
  task.data.train.checkpointed_layers = 20;
  const int64_t more = PredictMemory(model, two, task).total();
  EXPECT_LT(some, plain);
  EXPECT_LT(more, some);
  EXPECT_LT(all, more);
  task.data.train.checkpointed_layers = 1000;
  EXPECT_EQ(PredictMemory(model, two, task).total(), all);
}

}  // namespace
}  // namespace attune::engine
