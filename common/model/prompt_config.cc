#include "common/model/prompt_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/model/fields.h"

namespace attune {
namespace {

using Json = nlohmann::json;

constexpr int64_t kVirtualTokensMost = 4096;

// What peft has for other models, or beside the prompt.
void CheckFeatures(const ModelConfig& model, FieldReader& fields) {
  int64_t width = model.hidden_size, stacks = 1;
  fields.Integer("token_dim", width, model.hidden_size, model.hidden_size);
  fields.Integer("num_transformer_submodules", stacks, 1, 1);
  std::vector<std::string> whole;
  fields.Texts("modules_to_save", whole);
  if (!whole.empty()) fields.Fail("modules_to_save", "is not supported beside a prompt");
}

}  // namespace

Status CheckPrompt(const PromptConfig& config, const ModelConfig& model) {
  if (model.head != HeadKind::kNextToken) {
    return InvalidArgument("a prompt is tuned for a decoder that predicts next tokens, which " +
                           model.architecture + " is not: use method.type lora or full")
        .WithField("method.type");
  }
  const int64_t most = std::min(kVirtualTokensMost, model.max_positions - 2);
  if (config.virtual_tokens >= 1 && config.virtual_tokens <= most) return Status();
  return InvalidArgument("a prompt must have from 1 to " + std::to_string(most) +
                         " virtual tokens beside the model's " +
                         std::to_string(model.max_positions) + " positions, not " +
                         std::to_string(config.virtual_tokens))
      .WithField("method.virtual_tokens");
}

Result<PromptConfig> ParsePromptConfig(const std::string& json, const ModelConfig& model,
                                       const std::string& where) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return InvalidArgument(where + ": not a JSON object");
  FieldReader fields(root, where);
  std::string type, task = "CAUSAL_LM";
  fields.Text("peft_type", type);
  if (type != "PROMPT_TUNING") fields.Fail("peft_type", "must be PROMPT_TUNING");
  fields.Text("task_type", task);
  if (task != "CAUSAL_LM") fields.Fail("task_type", "must be CAUSAL_LM");
  PromptConfig config;
  if (!fields.Has("num_virtual_tokens")) fields.Fail("num_virtual_tokens", "is missing");
  fields.Integer("num_virtual_tokens", config.virtual_tokens, 1, kVirtualTokensMost);
  CheckFeatures(model, fields);
  ATTUNE_RETURN_IF_ERROR(fields.status());
  if (Status status = CheckPrompt(config, model); !status.ok()) return status.WithContext(where);
  return config;
}

std::string PromptConfigJson(const PromptConfig& config, const ModelConfig& model,
                             const std::string& base) {
  const Json root = {
      {"peft_type", "PROMPT_TUNING"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", base},
      {"num_virtual_tokens", config.virtual_tokens},
      {"token_dim", model.hidden_size},
      {"num_transformer_submodules", 1},
      {"num_attention_heads", model.heads},
      {"num_layers", model.layers},
      // Where the rows started is no part of what they are, and another start asks peft for a
      // tokenizer.
      {"prompt_tuning_init", "RANDOM"},
      {"prompt_tuning_init_text", nullptr},
      {"tokenizer_name_or_path", nullptr},
      {"inference_mode", true},
      {"modules_to_save", nullptr},
  };
  return root.dump(2) + "\n";
}

}  // namespace attune
