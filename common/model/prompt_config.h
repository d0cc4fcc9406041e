#pragma once

// A prompt that is trained beside a frozen model (Lester et al. 2021): rows that stand before each
// example in place of embedded tokens; and adapter_config.json as peft writes and reads it.

#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "common/model/model_config.h"

namespace attune {

struct PromptConfig {
  int64_t virtual_tokens = 20;  // the rows
};

// What an adapter's file calls its one tensor, [virtual_tokens, hidden].
inline constexpr char kPromptTensor[] = "prompt_embeddings";

// kInvalidArgument with the field method.type for a model that is no decoder of next tokens, with
// method.virtual_tokens for a number of them that is none or leaves no position for a text.
Status CheckPrompt(const PromptConfig& config, const ModelConfig& model);

// adapter_config.json of peft; `where` is the file, for messages. kInvalidArgument for what is not
// supported.
Result<PromptConfig> ParsePromptConfig(const std::string& json, const ModelConfig& model,
                                       const std::string& where);

// base: what peft calls base_model_name_or_path, a folder or a name on the Hub.
std::string PromptConfigJson(const PromptConfig& config, const ModelConfig& model,
                             const std::string& base);

}  // namespace attune
