#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/model/lora_config.h"
#include "common/model/model_config.h"
#include "common/model/prompt_config.h"

namespace attune {

// The shapes of a model's parameters, as torch has them, by their names in Hugging Face
// checkpoints; a tied output projection is not one.
std::map<std::string, std::vector<int64_t>> TensorShapes(const ModelConfig& config);
// Those of an adapter on it, by their names in its file.
std::map<std::string, std::vector<int64_t>> TensorShapes(const ModelConfig& config,
                                                         const LoraConfig& lora);
std::map<std::string, std::vector<int64_t>> TensorShapes(const ModelConfig& config,
                                                         const PromptConfig& prompt);

}  // namespace attune
