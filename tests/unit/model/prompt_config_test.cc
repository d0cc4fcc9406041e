// adapter_config.json of a prompt, and which adapters there are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/model/adapter_config.h"

namespace attune {
namespace {

using nlohmann::json;
using testing::HasSubstr;

ModelConfig Model(const char* architecture = "LlamaForCausalLM", const char* type = "llama") {
  const json config = {{"architectures", {architecture}},
                       {"model_type", type},
                       {"hidden_size", 64},
                       {"num_attention_heads", 4},
                       {"max_position_embeddings", 128}};
  return ParseModelConfig(config.dump(), "m").value();
}

json Prompt() {
  return {{"peft_type", "PROMPT_TUNING"}, {"num_virtual_tokens", 7}};
}

TEST(PromptConfig, ComesOutAsItWentIn) {
  const std::string written = PromptConfigJson({7}, Model(), "some/base");
  EXPECT_EQ(json::parse(written)["base_model_name_or_path"], "some/base");
  for (const std::string& text : {written, Prompt().dump()}) {
    const Result<AdapterConfig> read = ParseAdapterConfig(text, Model(), "a");
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(std::get<PromptConfig>(*read).virtual_tokens, 7);
    EXPECT_EQ(AdapterConfigJson(*read, Model(), "some/base"), written);
    const auto shapes = AdapterTensorShapes(Model(), *read);
    ASSERT_EQ(shapes.size(), 1u);
    EXPECT_EQ(shapes.at("prompt_embeddings"), (std::vector<int64_t>{7, 64}));
  }
}

TEST(PromptConfig, RefusesWhatTheModelHasNoPlaceFor) {
  const std::tuple<const char*, json, const char*> cases[] = {
      {"num_virtual_tokens", nullptr, "is missing"},
      {"num_virtual_tokens", 0, "from 1"},
      {"num_virtual_tokens", 127, "from 1 to 126"},
      {"token_dim", 32, "from 64 to 64"},
      {"num_transformer_submodules", 2, "from 1 to 1"},
      {"task_type", "SEQ_CLS", "CAUSAL_LM"},
      {"modules_to_save", json::array({"lm_head"}), "beside a prompt"},
      {"peft_type", "PREFIX_TUNING", "LORA or PROMPT_TUNING"}};
  for (const auto& [key, value, message] : cases) {
    json config = Prompt();
    config[key] = value;
    const Status status = ParseAdapterConfig(config.dump(), Model(), "a").status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << key;
    EXPECT_THAT(status.message(), HasSubstr(message)) << key;
  }
}

TEST(PromptConfig, IsOfDecodersOfNextTokens) {
  EXPECT_TRUE(CheckPrompt({20}, Model()).ok());
  EXPECT_EQ(CheckPrompt({127}, Model()).field(), "method.virtual_tokens");
  const json t5 = {{"architectures", {"T5ForConditionalGeneration"}}, {"model_type", "t5"}};
  const Status status = CheckPrompt({20}, ParseModelConfig(t5.dump(), "m").value());
  EXPECT_EQ(status.field(), "method.type");
  EXPECT_THAT(status.message(), HasSubstr("T5ForConditionalGeneration is not"));
}

TEST(PromptConfig, ItsTensorIsChecked) {
  const TensorInfos right = {{"prompt_embeddings", {"F32", {7, 64}}}};
  EXPECT_TRUE(CheckAdapterTensors(Model(), PromptConfig{7}, right, "a").ok());
  EXPECT_THAT(CheckAdapterTensors(Model(), PromptConfig{8}, right, "a").message(),
              HasSubstr("[7, 64], its configuration wants [8, 64]"));
  TensorInfos more = right;
  more["lm_head.weight"] = {"F32", {32000, 64}};
  EXPECT_THAT(CheckAdapterTensors(Model(), PromptConfig{7}, more, "a").message(),
              HasSubstr("lm_head.weight"));
}

}  // namespace
}  // namespace attune
