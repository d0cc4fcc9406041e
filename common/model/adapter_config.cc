#include "common/model/adapter_config.h"

#include <nlohmann/json.hpp>

#include "common/model/tensor_shapes.h"

namespace attune {
namespace {

// The one function of two that takes the adapter's kind.
template <typename OfLora, typename OfPrompt>
auto ByKind(const AdapterConfig& config, OfLora of_lora, OfPrompt of_prompt) {
  const LoraConfig* lora = std::get_if<LoraConfig>(&config);
  return lora != nullptr ? of_lora(*lora) : of_prompt(std::get<PromptConfig>(config));
}

}  // namespace

Result<AdapterConfig> ParseAdapterConfig(const std::string& json, const ModelConfig& model,
                                         const std::string& where) {
  using Json = nlohmann::json;
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  const Json type = root.is_object() ? root.value("peft_type", Json()) : Json();
  if (type == "PROMPT_TUNING") {
    ATTUNE_ASSIGN_OR_RETURN(const PromptConfig prompt, ParsePromptConfig(json, model, where));
    return AdapterConfig(prompt);
  }
  if (root.is_object() && type != "LORA") {
    return InvalidArgument(where + ": peft_type must be LORA or PROMPT_TUNING")
        .WithField("peft_type");
  }
  ATTUNE_ASSIGN_OR_RETURN(LoraConfig lora, ParseLoraConfig(json, model, where));
  return AdapterConfig(std::move(lora));
}

std::string AdapterConfigJson(const AdapterConfig& config, const ModelConfig& model,
                              const std::string& base) {
  return ByKind(
      config, [&](const LoraConfig& lora) { return LoraConfigJson(lora, model, base); },
      [&](const PromptConfig& prompt) { return PromptConfigJson(prompt, model, base); });
}

std::map<std::string, std::vector<int64_t>> AdapterTensorShapes(const ModelConfig& model,
                                                                const AdapterConfig& config) {
  return ByKind(
      config, [&](const LoraConfig& lora) { return TensorShapes(model, lora); },
      [&](const PromptConfig& prompt) { return TensorShapes(model, prompt); });
}

Status CheckAdapterTensors(const ModelConfig& model, const AdapterConfig& config,
                           const TensorInfos& found, const std::string& where) {
  return ByKind(
      config, [&](const LoraConfig& lora) { return CheckLoraTensors(model, lora, found, where); },
      [&](const PromptConfig& prompt) { return CheckPromptTensors(model, prompt, found, where); });
}

}  // namespace attune
