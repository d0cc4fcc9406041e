#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/model/model_config.h"
#include "worker/engine/adapters/resolve.h"
#include "worker/engine/model/rope.h"

namespace attune::engine {
namespace {

using testing::HasSubstr;

std::string Config(const std::string& more) {
  return R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
             "num_attention_heads": 4, "max_position_embeddings": 128)" +
         more + "}";
}

TEST(ModelConfig, MissingFieldsHaveTransformersDefaults) {
  const Result<ModelConfig> config = ParseModelConfig(Config(""), "m");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->kv_heads, 4);
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->vocabulary_size, 32000);
  EXPECT_DOUBLE_EQ(config->norm_eps, 1e-6);
  EXPECT_FALSE(config->tied_embeddings);
  EXPECT_EQ(config->ropes[0].type, "default");
  EXPECT_DOUBLE_EQ(config->ropes[0].theta, 10000);
}

TEST(ModelConfig, ReadsOldAndNewRopeFields) {
  for (const char* text :
       {R"(, "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2})",
        R"(, "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5})"}) {
    const Result<ModelConfig> config = ParseModelConfig(Config(text), "m");
    ASSERT_TRUE(config.ok()) << config.status().ToString();
    EXPECT_EQ(config->ropes[0].type, "linear");
    EXPECT_DOUBLE_EQ(config->ropes[0].theta, 5e5);
    EXPECT_DOUBLE_EQ(config->ropes[0].factor, 2);
  }
}

struct BadConfig {
  const char* text;
  const char* field;
  const char* message;
};

TEST(ModelConfig, RefusesWhatItCannotRun) {
  const BadConfig cases[] = {
      {R"(, "architectures": ["OPTForCausalLM"])", "architectures",
       "supported: LlamaForCausalLM, MistralForCausalLM"},
      {R"(, "hidden_act": "mish")", "hidden_act", "supported: silu, gelu"},
      {R"(, "rope_scaling": {"rope_type": "mrope", "factor": 2})", "rope_type",
       "supported: default, linear, dynamic, llama3, yarn, longrope"},
      {R"(, "rope_scaling": {"rope_type": "linear"})", "factor", "is missing"},
      {R"(, "rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1})",
       "high_freq_factor", "more than low_freq_factor"},
      {R"(, "num_key_value_heads": 3)", "num_key_value_heads", "must divide"},
      {R"(, "head_dim": 7)", "head_dim", "even"},
      {R"(, "vocab_size": -1)", "vocab_size", "whole number"},
      {R"(, "vocab_size": "many")", "vocab_size", "whole number"},
      {R"(, "num_hidden_layers": 1e18)", "num_hidden_layers", "whole number"},
      {R"(, "partial_rotary_factor": 0.5)", "partial_rotary_factor", "not supported"},
      {R"(, "quantization_config": {"bits": 4})", "quantization_config", "not supported"},
      {R"(, "tie_word_embeddings": "yes")", "tie_word_embeddings", "true or false"},
  };
  for (const BadConfig& bad : cases) {
    const Result<ModelConfig> config = ParseModelConfig(Config(bad.text), "model/config.json");
    ASSERT_FALSE(config.ok()) << bad.text;
    EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(config.status().field(), bad.field);
    EXPECT_THAT(config.status().message(), HasSubstr(bad.message));
    EXPECT_THAT(config.status().message(), HasSubstr("model/config.json"));
  }
  for (const char* text : {"", "[]", "{", "null", "{\"architectures\": 3}"}) {
    EXPECT_FALSE(ParseModelConfig(text, "m").ok()) << text;
  }
}

TEST(Rope, DynamicScalesOnlyBeyondTheTrainedLength) {
  const ModelConfig config =
      ParseModelConfig(Config(R"(, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0})"), "m")
          .value();
  const ModelConfig plain = ParseModelConfig(Config(""), "m").value();
  EXPECT_EQ(ComputeRope(config.ropes[0], 128).inverse, ComputeRope(plain.ropes[0], 128).inverse);
  EXPECT_LT(ComputeRope(config.ropes[0], 129).inverse[1],
            ComputeRope(plain.ropes[0], 129).inverse[1]);
}

TEST(Rope, YarnScalesAttentionByTheLogOfTheFactor) {
  const ModelConfig config =
      ParseModelConfig(Config(R"(, "rope_scaling": {"rope_type": "yarn", "factor": 4.0})"), "m")
          .value();
  EXPECT_FLOAT_EQ(ComputeRope(config.ropes[0], 1).scaling,
                  static_cast<float>(0.1 * std::log(4.0) + 1));
}

const std::vector<std::string> kModules = {
    "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
    "model.layers.0.mlp.up_proj",      "model.layers.1.self_attn.q_proj",
    "model.layers.1.self_attn.k_proj", "model.layers.1.mlp.up_proj",
};

std::vector<std::string> Resolved(const std::vector<std::string>& targets) {
  Method method;
  method.target_modules = targets;
  const Result<LoraConfig> config = ResolveLora(method, kModules);
  EXPECT_TRUE(config.ok()) << config.status().ToString();
  return config.ok() ? config->modules : std::vector<std::string>();
}

TEST(LoraTargets, NamesGroupsAndEndings) {
  EXPECT_EQ(Resolved({"all-linear"}), kModules);
  EXPECT_EQ(Resolved({"attention"}).size(), 4u);
  EXPECT_EQ(Resolved({"mlp"}).size(), 2u);
  EXPECT_THAT(Resolved({"up_proj", "q_proj"}),
              testing::ElementsAre(kModules[0], kModules[2], kModules[3], kModules[5]));
  EXPECT_THAT(Resolved({"layers.1.mlp.up_proj"}), testing::ElementsAre(kModules[5]));
}

TEST(LoraTargets, WrongNameGivesTheNearest) {
  Method method;
  method.target_modules = {"q_porj"};
  const Result<LoraConfig> config = ResolveLora(method, kModules);
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().field(), "method.target_modules");
  EXPECT_THAT(config.status().message(), HasSubstr("did you mean q_proj?"));
  method.target_modules = {"lm_head"};
  EXPECT_THAT(ResolveLora(method, kModules).status().message(),
              HasSubstr("lm_head cannot be adapted yet"));
  method.target_modules = {"proj"};
  EXPECT_FALSE(ResolveLora(method, kModules).ok());
  method.target_modules = {};
  EXPECT_FALSE(ResolveLora(method, kModules).ok());
}

TEST(LoraTargets, WrongValuesNameTheirField) {
  Method method;
  method.rank = 0;
  EXPECT_EQ(ResolveLora(method, kModules).status().field(), "method.rank");
  method = {};
  method.dropout = 1;
  EXPECT_EQ(ResolveLora(method, kModules).status().field(), "method.dropout");
  method = {};
  method.alpha = NAN;
  EXPECT_EQ(ResolveLora(method, kModules).status().field(), "method.alpha");
}

TEST(AdapterConfig, RoundTrips) {
  Method method;
  method.rank = 4;
  method.alpha = 8;
  method.dropout = 0.1;
  method.target_modules = {"q_proj", "layers.1.mlp.up_proj"};
  const LoraConfig config = ResolveLora(method, kModules).value();
  const std::string json = AdapterConfigJson(config, kModules, false, "base@1");
  EXPECT_THAT(json, HasSubstr("\"base_model_name_or_path\": \"base@1\""));
  const Result<LoraConfig> again = ParseAdapterConfig(json, kModules, "a");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->modules, config.modules);
  EXPECT_EQ(again->rank, 4);
  EXPECT_DOUBLE_EQ(again->alpha, 8);
  EXPECT_DOUBLE_EQ(again->dropout, 0.1);
}

TEST(AdapterConfig, RankStabilisedScale) {
  const char* json =
      R"({"peft_type": "LORA", "r": 16, "lora_alpha": 8, "use_rslora": true, "target_modules": "all-linear"})";
  EXPECT_DOUBLE_EQ(ParseAdapterConfig(json, kModules, "a")->scale(), 2);
}

TEST(AdapterConfig, TakesEveryStartThatLeavesTheBaseAlone) {
  for (const char* start : {"true", "false", "null", "\"gaussian\"", "\"orthogonal\""}) {
    const std::string json =
        R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"],
            "init_lora_weights": )" +
        std::string(start) + "}";
    EXPECT_TRUE(ParseAdapterConfig(json, kModules, "a").ok()) << start;
  }
}

TEST(AdapterConfig, RefusesWhatItCannotRun) {
  for (const char* more :
       {R"("use_dora": true)", R"("rank_pattern": {"q_proj": 2})", R"("bias": "all")",
        R"("modules_to_save": ["lm_head"])", R"("init_lora_weights": "pissa")",
        R"("init_lora_weights": "olora")", R"("init_lora_weights": {"a": 1})",
        R"("peft_type": "IA3")", R"("r": 0)", R"("r": "4")", R"("lora_alpha": null)",
        R"("target_modules": ["c_attn"])"}) {
    const std::string json =
        R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], )" +
        std::string(more) + "}";
    const Result<LoraConfig> config = ParseAdapterConfig(json, kModules, "adapter_config.json");
    ASSERT_FALSE(config.ok()) << more;
    EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument) << more;
  }
}

}  // namespace
}  // namespace attune::engine
