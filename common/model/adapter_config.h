#pragma once

// An adapter of a model, as peft makes them: of one of two kinds.

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/base/status.h"
#include "common/model/lora_config.h"
#include "common/model/prompt_config.h"
#include "common/model/tensors.h"

namespace attune {

using AdapterConfig = std::variant<LoraConfig, PromptConfig>;

// Of adapter_config.json, by its peft_type: ParseLoraConfig or ParsePromptConfig.
Result<AdapterConfig> ParseAdapterConfig(const std::string& json, const ModelConfig& model,
                                         const std::string& where);
// LoraConfigJson or PromptConfigJson.
std::string AdapterConfigJson(const AdapterConfig& config, const ModelConfig& model,
                              const std::string& base);

// The shapes of its tensors, by their names in its file.
std::map<std::string, std::vector<int64_t>> AdapterTensorShapes(const ModelConfig& model,
                                                                const AdapterConfig& config);
// CheckLoraTensors or CheckPromptTensors.
Status CheckAdapterTensors(const ModelConfig& model, const AdapterConfig& config,
                           const TensorInfos& found, const std::string& where);

}  // namespace attune
