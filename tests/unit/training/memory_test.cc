#include "worker/engine/tasks/memory.h"

#include <gtest/gtest.h>

namespace attune::engine {
namespace {

constexpr char kSmolLM2[] =
    R"({"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": true})";

std::map<std::string, TensorInfo> SmolLM2Tensors() {
  std::map<std::string, TensorInfo> tensors = {{"model.embed_tokens.weight", {"F32", {49152, 576}}},
                                               {"lm_head.weight", {"F32", {49152, 576}}},
                                               {"model.norm.weight", {"F32", {576}}}};
  for (int layer = 0; layer < 30; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    auto add = [&](const char* name, std::vector<int64_t> shape) {
      tensors[prefix + name + ".weight"] = {"F32", std::move(shape)};
    };
    add("self_attn.q_proj", {576, 576});
    add("self_attn.k_proj", {192, 576});
    add("self_attn.v_proj", {192, 576});
    add("self_attn.o_proj", {576, 576});
    add("mlp.gate_proj", {1536, 576});
    add("mlp.up_proj", {1536, 576});
    add("mlp.down_proj", {576, 1536});
    add("input_layernorm", {576});
    add("post_attention_layernorm", {576});
  }
  return tensors;
}

TrainTask Task(const std::string& method) {
  TrainTask task;
  task.method = {.type = method, .rank = 16};
  return task;
}

TEST(ShapeOf, CountsParametersOnceAndThoseOfLora) {
  const auto full = ShapeOf(SmolLM2Tensors(), kSmolLM2, {.type = "full"});
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->parameters, 134515008);
  EXPECT_EQ(full->trainable_parameters, 134515008);
  const auto lora = ShapeOf(SmolLM2Tensors(), kSmolLM2, {.type = "lora", .rank = 16});
  EXPECT_EQ(lora->trainable_parameters, 4884480);
  EXPECT_EQ(lora->parameters, 134515008 + 4884480);
  const auto part = ShapeOf(SmolLM2Tensors(), kSmolLM2,
                            {.type = "lora", .rank = 8, .target_modules = {"q_proj"}});
  EXPECT_EQ(part->trainable_parameters, 30 * 8 * (576 + 576));
}

TEST(ShapeOf, RefusesAConfigurationWithoutSizes) {
  EXPECT_EQ(ShapeOf({}, "{}", {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ShapeOf({}, "no json", {}).status().code(), StatusCode::kInvalidArgument);
}

// Peak resident sizes of whole runs on the machine of docs/benchmarks.md.
TEST(PredictMemory, IsCloseToWhatWasMeasured) {
  struct Case {
    const char* method;
    MicroBatchShape batch;
    double measured;
    bool checkpointing = false;
  };
  const std::vector<Case> cases = {
      {"full", {.tokens = 500, .targets = 380, .micro_batches_max = 2}, 2.909e9},
      {"full", {.tokens = 500, .targets = 380, .micro_batches_max = 2}, 2.645e9, true},
      {"full", {.tokens = 510, .targets = 390, .micro_batches_max = 1}, 2.408e9},
      {"lora", {.tokens = 500, .targets = 380, .micro_batches_max = 2}, 1.277e9}};
  for (const Case& c : cases) {
    TrainTask task = Task(c.method);
    task.data.train.activation_checkpointing = c.checkpointing;
    const auto model = ShapeOf(SmolLM2Tensors(), kSmolLM2, task.method);
    const auto predicted = static_cast<double>(PredictMemory(*model, c.batch, task).total());
    EXPECT_NEAR(predicted / c.measured, 1.0, 0.06) << c.method << " " << c.checkpointing;
  }
}

TEST(PredictMemory, ShrinksWithCheckpointingOneMicroBatchAndLora) {
  const MicroBatchShape two{.tokens = 512, .targets = 512, .micro_batches_max = 2};
  const MicroBatchShape one{.tokens = 512, .targets = 512, .micro_batches_max = 1};
  TrainTask task = Task("full");
  const auto model = *ShapeOf(SmolLM2Tensors(), kSmolLM2, task.method);
  const int64_t plain = PredictMemory(model, two, task).total();
  EXPECT_LT(PredictMemory(model, one, task).total(), plain);
  task.data.train.activation_checkpointing = true;
  EXPECT_LT(PredictMemory(model, two, task).total(), plain);
}

}  // namespace
}  // namespace attune::engine
