// What is read of T5's config.json, and which tensors its files have.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/model/model_config.h"
#include "common/model/tensors.h"

namespace attune {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::string Config(const std::string& more) {
  return R"({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "d_model": 16,
             "d_kv": 6, "d_ff": 24, "num_heads": 2, "num_layers": 2, "vocab_size": 50)" +
         more + "}";
}

ModelConfig Parsed(const std::string& more) {
  const Result<ModelConfig> config = ParseModelConfig(Config(more), "m");
  EXPECT_TRUE(config.ok()) << config.status().ToString();
  return config.value();
}

TEST(T5Config, MissingFieldsHaveTransformersDefaults) {
  const ModelConfig config = Parsed("");
  ASSERT_NE(config.encoder, nullptr);
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.encoder->layers, 2);
  EXPECT_TRUE(config.causal);
  EXPECT_FALSE(config.encoder->causal);
  EXPECT_EQ(config.distances.buckets, 32);
  EXPECT_EQ(config.distances.farthest, 128);
  EXPECT_EQ(config.activation, Activation::kRelu);
  EXPECT_FALSE(config.gated);
  EXPECT_EQ(config.start_token, 0);
  EXPECT_EQ(config.q_size(), 12);  // heads need not fill the hidden size
  EXPECT_TRUE(CheckPredictsNext(config, "m").ok());
  EXPECT_FALSE(CheckPredictsNext(*config.encoder, "m").ok());
}

TEST(T5Config, TheHeadIsScaledWhereItIsTied) {
  EXPECT_TRUE(Parsed("").tied_embeddings);
  EXPECT_DOUBLE_EQ(Parsed("").head_scale, 0.25);
  // As the files on the Hub have it, and as transformers 5 writes it.
  for (const char* own : {R"(, "tie_word_embeddings": false)",
                          R"(, "tie_word_embeddings": true, "scale_decoder_outputs": false)"}) {
    const ModelConfig config = Parsed(own);
    EXPECT_FALSE(config.tied_embeddings) << own;
    EXPECT_DOUBLE_EQ(config.head_scale, 1) << own;
    EXPECT_THAT(TensorNames(config), Contains("lm_head.weight")) << own;
  }
}

TEST(T5Config, ReadsTheMlp) {
  const ModelConfig gated = Parsed(R"(, "feed_forward_proj": "gated-gelu")");
  EXPECT_TRUE(gated.gated);
  EXPECT_EQ(gated.activation, Activation::kGeluTanh);
  std::vector<std::string> linears;
  for (const LinearInfo& linear : LinearsOf(gated)) linears.push_back(linear.name);
  EXPECT_THAT(linears, Contains("encoder.block.1.layer.1.DenseReluDense.wi_1"));
  EXPECT_THAT(linears, Contains("decoder.block.1.layer.2.DenseReluDense.wi_0"));
  EXPECT_EQ(Parsed(R"(, "feed_forward_proj": "gelu")").activation, Activation::kGelu);
}

TEST(T5Config, AdaptersAreOfSequencesToSequences) {
  const ModelConfig model = Parsed("");
  const Result<LoraConfig> lora = WithModules({}, {"attention"}, model);
  ASSERT_TRUE(lora.ok()) << lora.status().ToString();
  EXPECT_EQ(lora->modules.size(), 2 * 4 + 2 * 8u);
  EXPECT_THAT(LoraConfigJson(*lora, model, "b"), HasSubstr("\"task_type\": \"SEQ_2_SEQ_LM\""));
}

TEST(T5Config, RefusesWhatItCannotRun) {
  struct Bad {
    const char* text;
    const char* field;
    const char* message;
  };
  const Bad cases[] = {
      {R"(, "feed_forward_proj": "gated-swish-relu")", "feed_forward_proj", "supported: silu"},
      {R"(, "feed_forward_proj": 3)", "feed_forward_proj", "a string"},
      {R"(, "num_decoder_layers": 0)", "num_decoder_layers", "whole number"},
      {R"(, "relative_attention_num_buckets": 2)", "relative_attention_num_buckets", "from 4"},
      {R"(, "relative_attention_max_distance": 16)", "relative_attention_max_distance",
       "more than half"},
      {R"(, "decoder_start_token_id": 50)", "decoder_start_token_id", "below vocab_size"},
      {R"(, "is_decoder": true)", "is_decoder", "not supported"},
      {R"(, "layer_norm_epsilon": -1)", "layer_norm_epsilon", "negative"},
      {R"(, "tie_word_embeddings": 1)", "tie_word_embeddings", "true or false"},
  };
  for (const Bad& bad : cases) {
    const Result<ModelConfig> config = ParseModelConfig(Config(bad.text), "model/config.json");
    ASSERT_FALSE(config.ok()) << bad.text;
    EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(config.status().field(), bad.field) << config.status().ToString();
    EXPECT_THAT(config.status().message(), HasSubstr(bad.message));
  }
}

TEST(T5Tensors, BothStacksAndTheirSharedEmbedding) {
  const ModelConfig config = Parsed(R"(, "num_decoder_layers": 1)");
  const std::vector<std::string> names = TensorNames(config);
  for (const char* name :
       {"shared.weight", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "encoder.block.1.layer.1.layer_norm.weight", "encoder.final_layer_norm.weight",
        "decoder.block.0.layer.1.EncDecAttention.k.weight",
        "decoder.block.0.layer.2.DenseReluDense.wo.weight", "decoder.final_layer_norm.weight"}) {
    EXPECT_THAT(names, Contains(name));
  }
  EXPECT_THAT(names, Not(Contains("lm_head.weight")));
  EXPECT_THAT(
      names, Not(Contains("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight")));
  // Embedding, two encoder layers, one decoder layer, two tables of biases, norms.
  const int64_t attention = 4 * 16 * 12, mlp = 2 * 16 * 24, norm = 16;
  EXPECT_EQ(CountParameters(config), 50 * 16 + 2 * (attention + mlp + 2 * norm) +
                                         (2 * attention + mlp + 3 * norm) + 2 * 32 * 2 + 2 * norm);
}

TensorInfos Stored(const ModelConfig& config) {
  TensorInfos tensors;
  for (const std::string& name : TensorNames(config)) tensors[name] = {"F32", {1}};
  return tensors;
}

TEST(T5Tensors, CopiesOfTheEmbeddingAreTheEmbedding) {
  const ModelConfig config = Parsed("");
  TensorInfos found = Stored(config);
  found["encoder.embed_tokens.weight"] = found["decoder.embed_tokens.weight"] = {"F32", {1}};
  found["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = {"F32", {1}};
  std::map<std::string, std::string> names = StoredNames(config, found);
  EXPECT_EQ(names.size(), TensorNames(config).size());
  EXPECT_EQ(names.at("shared.weight"), "shared.weight");
  found.erase("shared.weight");
  names = StoredNames(config, found);
  EXPECT_EQ(names.size(), TensorNames(config).size());
  EXPECT_EQ(names.at("shared.weight"), "encoder.embed_tokens.weight");
}

}  // namespace
}  // namespace attune
