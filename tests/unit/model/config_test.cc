#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/model/adapter_labels.h"
#include "common/model/model_config.h"
#include "tests/support/temporary_folder.h"
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

// Two layers of q, k, v, o, gate, up and down.
ModelConfig Model(const std::string& more = "") {
  return ParseModelConfig(Config(R"(, "num_hidden_layers": 2)" + more), "m").value();
}

std::vector<std::string> Names(const LoraConfig& config) {
  std::vector<std::string> names;
  for (const LoraModule& module : config.modules) names.push_back(module.name);
  return names;
}

std::vector<std::string> Resolved(const std::vector<std::string>& targets,
                                  const std::vector<int>& layers = {}) {
  Method method;
  method.target_modules = targets;
  method.layers = layers;
  const Result<LoraConfig> config = ResolveLora(method, Model());
  EXPECT_TRUE(config.ok()) << config.status().ToString();
  return config.ok() ? Names(*config) : std::vector<std::string>();
}

const std::string kQuery0 = "model.layers.0.self_attn.q_proj",
                  kQuery1 = "model.layers.1.self_attn.q_proj", kUp0 = "model.layers.0.mlp.up_proj",
                  kUp1 = "model.layers.1.mlp.up_proj";

TEST(LoraTargets, NamesGroupsAndEndings) {
  EXPECT_EQ(Resolved({"all-linear"}).size(), 14u);
  EXPECT_EQ(Resolved({"attention"}).size(), 8u);
  EXPECT_EQ(Resolved({"mlp"}).size(), 6u);
  EXPECT_THAT(Resolved({"up_proj", "q_proj"}), testing::ElementsAre(kQuery0, kUp0, kQuery1, kUp1));
  EXPECT_THAT(Resolved({"layers.1.mlp.up_proj"}), testing::ElementsAre(kUp1));
}

// By what a layer is, not by its name, which says "attention" of all of BERT's halves or of none.
TEST(LoraTargets, GroupsOfBert) {
  const ModelConfig bert =
      ParseModelConfig(R"({"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 32,
                           "intermediate_size": 64, "num_attention_heads": 4,
                           "num_hidden_layers": 1})",
                       "m")
          .value();
  Method method;
  method.target_modules = {"attention"};
  EXPECT_THAT(Names(ResolveLora(method, bert).value()),
              testing::ElementsAre("encoder.layer.0.attention.self.query",
                                   "encoder.layer.0.attention.self.key",
                                   "encoder.layer.0.attention.self.value",
                                   "encoder.layer.0.attention.output.dense"));
  method.target_modules = {"mlp"};
  EXPECT_THAT(
      Names(ResolveLora(method, bert).value()),
      testing::ElementsAre("encoder.layer.0.intermediate.dense", "encoder.layer.0.output.dense"));
}

TEST(LoraTargets, Layers) {
  EXPECT_THAT(Resolved({"q_proj", "up_proj"}, {1}), testing::ElementsAre(kQuery1, kUp1));
  EXPECT_EQ(Resolved({"all-linear"}, {0}).size(), 7u);
  Method method;
  method.layers = {2};
  const Status status = ResolveLora(method, Model()).status();
  EXPECT_EQ(status.field(), "method.layers");
  EXPECT_THAT(status.message(), HasSubstr("its layers are 0 to 1"));
}

TEST(ModulesToSave, AreTheTensorsOfTheModulesAndOfWhatIsInThem) {
  Method method;
  method.modules_to_save = {"embed_tokens", "norm", "layers.1.mlp"};
  const LoraConfig config = ResolveLora(method, Model()).value();
  // As peft has it: "norm" ends the names of all norms.
  EXPECT_THAT(
      config.own,
      testing::UnorderedElementsAre(
          "model.embed_tokens.weight", "model.norm.weight", "model.layers.0.input_layernorm.weight",
          "model.layers.1.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight",
          "model.layers.1.post_attention_layernorm.weight", "model.layers.1.mlp.gate_proj.weight",
          "model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight"));
  EXPECT_EQ(config.modules.size(), 11u);  // none where all trains
  const std::string json = LoraConfigJson(config, Model(), "base@1");
  const Result<LoraConfig> again = ParseLoraConfig(json, Model(), "a");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->own, config.own);
  EXPECT_EQ(Names(*again), Names(config));
}

TEST(ModulesToSave, WrongNamesAreRefused) {
  Method method;
  method.modules_to_save = {"lm_haed"};
  Status status = ResolveLora(method, Model()).status();
  EXPECT_EQ(status.field(), "method.modules_to_save");
  EXPECT_THAT(status.message(), HasSubstr("did you mean lm_head?"));
  method.modules_to_save = {"proj"};  // ends names of layers that get A and B
  status = ResolveLora(method, Model()).status();
  EXPECT_THAT(status.message(), HasSubstr("which gets A and B too"));
}

TEST(ModulesToSave, KeepTiedEmbeddingsTied) {
  const ModelConfig tied = Model(R"(, "tie_word_embeddings": true)");
  for (const char* saved : {"embed_tokens", "lm_head"}) {
    Method method;
    method.modules_to_save = {saved};
    const Result<LoraConfig> config = ResolveLora(method, tied);
    ASSERT_TRUE(config.ok()) << config.status().ToString();
    EXPECT_THAT(config->own, testing::ElementsAre("model.embed_tokens.weight"));
    const std::string json = LoraConfigJson(*config, tied, "base@1");
    EXPECT_THAT(json, HasSubstr("\"ensure_weight_tying\": true"));
    EXPECT_TRUE(ParseLoraConfig(json, tied, "a").ok());
  }
  // What peft trains without that is no model with tied embeddings.
  const Status untied = ParseLoraConfig(R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8,
                             "target_modules": ["q_proj"], "modules_to_save": ["lm_head"]})",
                                        tied, "adapter_config.json")
                            .status();
  EXPECT_THAT(untied.message(), HasSubstr("ensure_weight_tying=True"));
}

TEST(LoraTargets, WrongNameGivesTheNearest) {
  Method method;
  method.target_modules = {"q_porj"};
  const Result<LoraConfig> config = ResolveLora(method, Model());
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().field(), "method.target_modules");
  EXPECT_THAT(config.status().message(), HasSubstr("did you mean q_proj?"));
  method.target_modules = {"lm_head"};
  EXPECT_THAT(ResolveLora(method, Model()).status().message(),
              HasSubstr("lm_head cannot have A and B"));
  method.target_modules = {"proj"};
  EXPECT_FALSE(ResolveLora(method, Model()).ok());
  method.target_modules = {};
  EXPECT_FALSE(ResolveLora(method, Model()).ok());
}

TEST(LoraTargets, WrongValuesNameTheirField) {
  Method method;
  method.rank = 0;
  EXPECT_EQ(ResolveLora(method, Model()).status().field(), "method.rank");
  method = {};
  method.dropout = 1;
  EXPECT_EQ(ResolveLora(method, Model()).status().field(), "method.dropout");
  method = {};
  method.alpha = NAN;
  EXPECT_EQ(ResolveLora(method, Model()).status().field(), "method.alpha");
}

TEST(AdapterConfig, RoundTrips) {
  Method method;
  method.rank = 4;
  method.alpha = 8;
  method.dropout = 0.1;
  method.target_modules = {"q_proj", "layers.1.mlp.up_proj"};
  const LoraConfig config = ResolveLora(method, Model()).value();
  const std::string json = LoraConfigJson(config, Model(), "base@1");
  EXPECT_THAT(json, HasSubstr("\"base_model_name_or_path\": \"base@1\""));
  const Result<LoraConfig> again = ParseLoraConfig(json, Model(), "a");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(Names(*again), Names(config));
  EXPECT_EQ(again->rank, 4);
  EXPECT_DOUBLE_EQ(again->alpha, 8);
  EXPECT_DOUBLE_EQ(again->dropout, 0.1);
}

TEST(AdapterConfig, RankStabilisedScale) {
  const char* json =
      R"({"peft_type": "LORA", "r": 16, "lora_alpha": 8, "use_rslora": true, "target_modules": "all-linear"})";
  const LoraConfig config = ParseLoraConfig(json, Model(), "a").value();
  EXPECT_DOUBLE_EQ(config.scale(config.modules[0]), 2);
}

TEST(AdapterConfig, TakesEveryStartThatLeavesTheBaseAlone) {
  for (const char* start : {"true", "false", "null", "\"gaussian\"", "\"orthogonal\""}) {
    const std::string json =
        R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"],
            "init_lora_weights": )" +
        std::string(start) + "}";
    EXPECT_TRUE(ParseLoraConfig(json, Model(), "a").ok()) << start;
  }
}

LoraConfig Parsed(const std::string& more) {
  const Result<LoraConfig> config =
      ParseLoraConfig(R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, )" + more + "}", Model(),
                      "adapter_config.json");
  EXPECT_TRUE(config.ok()) << config.status().ToString();
  return config.ok() ? *config : LoraConfig();
}

TEST(AdapterConfig, PatternsAndLayersAsPeftReadsThem) {
  EXPECT_THAT(Names(Parsed(R"("target_modules": ".*\\.1\\..*(q|up)_proj")")),
              testing::ElementsAre(kQuery1, kUp1));
  EXPECT_THAT(
      Names(
          Parsed(R"("target_modules": ["q_proj", "up_proj"], "exclude_modules": ["mlp.up_proj"])")),
      testing::ElementsAre(kQuery0, kQuery1));
  EXPECT_THAT(
      Names(Parsed(R"("target_modules": ["q_proj", "up_proj"], "exclude_modules": ".*\\.0\\..*")")),
      testing::ElementsAre(kQuery1, kUp1));
  EXPECT_THAT(Names(Parsed(R"("target_modules": ["q_proj"], "layers_to_transform": 1)")),
              testing::ElementsAre(kQuery1));
  EXPECT_THAT(Names(Parsed(R"("target_modules": ["q_proj", "model.layers.0.mlp.up_proj"],
                              "layers_to_transform": [1], "layers_pattern": "layers")")),
              testing::ElementsAre(kUp0, kQuery1));
}

TEST(AdapterConfig, RanksAndAlphasOfModules) {
  const LoraConfig config = Parsed(
      R"("target_modules": ["q_proj", "up_proj"], "rank_pattern": {"q_proj": 2, "1.mlp.up_proj": 6},
                "alpha_pattern": {"^model.layers.0.*": 3})");
  ASSERT_EQ(config.modules.size(), 4u);
  const std::vector<double> scales = {3.0 / 2, 3.0 / 4, 8.0 / 2, 8.0 / 6};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(config.scale(config.modules[i]), scales[i]) << config.modules[i].name;
  }
  const LoraConfig again =
      ParseLoraConfig(LoraConfigJson(config, Model(), "b"), Model(), "a").value();
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(again.modules[i].rank, config.modules[i].rank);
    EXPECT_EQ(again.modules[i].alpha, config.modules[i].alpha);
  }
}

// peft takes the first that fits, in the file's order.
TEST(AdapterConfig, TheFirstPatternThatFitsCounts) {
  const LoraConfig config = Parsed(
      R"("target_modules": ["q_proj"],
         "alpha_pattern": {"q_proj": 64, "layers.0.self_attn.q_proj": 16})");
  ASSERT_EQ(config.modules.size(), 2u);
  EXPECT_EQ(config.modules[0].alpha, 64);
  EXPECT_EQ(config.modules[1].alpha, 64);
}

TEST(Classifier, IsMadeOfADecoder) {
  ModelConfig base = Model();
  const ModelConfig config = AsClassifier(base, {"cold", "hot"}).value();
  EXPECT_EQ(config.architecture, "LlamaForSequenceClassification");
  EXPECT_EQ(config.head, HeadKind::kLabels);
  EXPECT_EQ(config.labels, (std::vector<std::string>{"cold", "hot"}));
  EXPECT_EQ(config.names.head, "score");
  EXPECT_EQ(config.outputs(), 2);
  EXPECT_FALSE(config.tied_embeddings);
  const auto json = nlohmann::json::parse(ConfigJson(config, "float32"));
  EXPECT_EQ(json["id2label"]["1"], "hot");
  EXPECT_EQ(json["label2id"]["hot"], 1);
  // Its files are read as such again.
  EXPECT_EQ(ParseModelConfig(json.dump(), "m")->labels, config.labels);
}

// transformers' classifiers of decoders take no batch without a token for padding.
TEST(Classifier, OfADecoderPadsWithTheFirstTokenThatEnds) {
  const auto padding = [](const std::string& fields) {
    const ModelConfig config = AsClassifier(Model(fields), {"cold", "hot"}).value();
    return nlohmann::json::parse(config.json).value("pad_token_id", nlohmann::json());
  };
  EXPECT_EQ(padding(R"(, "eos_token_id": 7)"), 7);
  EXPECT_EQ(padding(R"(, "eos_token_id": [9, 7])"), 9);
  EXPECT_EQ(padding(R"(, "eos_token_id": [9, 7], "pad_token_id": 3)"), 3);
  EXPECT_EQ(padding(R"(, "eos_token_id": [])"), nlohmann::json());
}

TEST(Classifier, AnAdapterOfOneTrainsItsHead) {
  const ModelConfig config = AsClassifier(Model(), {"cold", "hot"}).value();
  const LoraConfig lora = WithModules({.rank = 4, .alpha = 8}, {"q_proj"}, config).value();
  EXPECT_EQ(lora.own, std::vector<std::string>{"score.weight"});
  EXPECT_EQ(lora.modules_to_save, std::vector<std::string>{"score"});
  EXPECT_TRUE(WithModules({.rank = 4, .alpha = 8}, {"q_proj"}, Model())->own.empty());
  // As it was asked for once, and not twice.
  EXPECT_EQ(WithModules({.rank = 4, .alpha = 8, .modules_to_save = {"score"}}, {"q_proj"}, config)
                ->modules_to_save,
            lora.modules_to_save);
  auto json = nlohmann::json::parse(LoraConfigJson(lora, config, "base"));
  EXPECT_EQ(json["task_type"], "SEQ_CLS");
  EXPECT_EQ(json["modules_to_save"][0], "score");
  // Earlier ones of peft save the head and do not say so.
  json["modules_to_save"] = nullptr;
  EXPECT_EQ(ParseLoraConfig(json.dump(), config, "old")->own, lora.own);
}

TEST(AdapterLabels, AreThoseOfItsFileOrCountedByItsHead) {
  const TemporaryFolder folder;
  folder.Write("adapter_config.json", R"({"peft_type": "LORA", "task_type": "SEQ_CLS"})");
  const TensorInfos tensors = {{"base_model.model.score.weight", {"F32", {2, 8}}}};
  EXPECT_EQ(*ReadAdapterLabels(folder.path(), tensors),
            (std::vector<std::string>{"LABEL_0", "LABEL_1"}));
  EXPECT_TRUE(ReadAdapterLabels(folder.path(), {})->empty());
  const std::vector<std::string> labels = {"cold", "hot"};
  folder.Write("labels.json", LabelsJson(labels));
  EXPECT_EQ(*ReadAdapterLabels(folder.path(), tensors), labels);
  EXPECT_THAT(ReadAdapterLabels(folder.path(), {{"base_model.model.score.weight", {"F32", {1, 8}}}})
                  .status()
                  .message(),
              testing::HasSubstr("reward models"));
  for (const char* bad :
       {R"(["cold"])", R"(["cold", "cold"])", R"(["cold", 1])", R"({"0": "cold"})", "["}) {
    folder.Write("labels.json", bad);
    EXPECT_THAT(ReadAdapterLabels(folder.path(), tensors).status().message(),
                testing::HasSubstr("must be an array of 2 labels"))
        << bad;
  }
  folder.Write("adapter_config.json", R"({"peft_type": "LORA", "task_type": "CAUSAL_LM"})");
  EXPECT_TRUE(ReadAdapterLabels(folder.path(), tensors)->empty());
  EXPECT_EQ(WithLabels(Model(), labels)->labels, labels);
  EXPECT_EQ(WithLabels(Model(), {})->head, HeadKind::kNextToken);
  // A classifier's own names are better than none.
  const ModelConfig named = AsClassifier(Model(), labels).value();
  EXPECT_EQ(WithLabels(named, {"LABEL_0", "LABEL_1"})->labels, labels);
  EXPECT_EQ(WithLabels(named, {"LABEL_0", "LABEL_1", "LABEL_2"})->labels.size(), 3u);
}

TEST(Classifier, RefusesOtherProblems) {
  const char* text = R"({"architectures": ["LlamaForSequenceClassification"],
                         "problem_type": "regression"})";
  const Result<ModelConfig> config = ParseModelConfig(text, "m");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().field(), "problem_type");
}

TEST(AdapterConfig, RefusesWhatItCannotRun) {
  for (const char* more :
       {R"("use_dora": true, "lora_bias": true)", R"("rank_pattern": {"q_proj": 0})",
        R"("bias": "some")", R"("rank_pattern": {"(?=q)q_proj": 2})", R"("exclude_modules": "(q")",
        R"("layers_to_transform": "1")", R"("init_lora_weights": "pissa")",
        R"("init_lora_weights": "olora")", R"("init_lora_weights": {"a": 1})",
        R"("peft_type": "IA3")", R"("r": 0)", R"("r": "4")", R"("lora_alpha": null)",
        R"("target_modules": ["c_attn"])"}) {
    const std::string json =
        R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], )" +
        std::string(more) + "}";
    const Result<LoraConfig> config = ParseLoraConfig(json, Model(), "adapter_config.json");
    ASSERT_FALSE(config.ok()) << more;
    EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument) << more;
  }
}

}  // namespace
}  // namespace attune::engine
