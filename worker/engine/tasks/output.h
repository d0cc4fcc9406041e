#pragma once

// Model folders that transformers and peft load as they are.

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/model/causal_lm.h"
#include "worker/text/text.h"

namespace attune::engine {

// Lets write fill a hidden folder beside `folder`, then gives it its name; an older folder of that
// name is replaced. On failure nothing is left.
Status WriteFolder(const std::filesystem::path& folder,
                   const std::function<Status(const std::filesystem::path&)>& write);

// config.json, generation_config.json, model.safetensors and the tokenizer's files. merged: the
// adapter's product is added to the weights.
Status WriteModel(const std::filesystem::path& folder, const CausalLM& model,
                  const text::TextAssets& text, bool merged);

// adapter_config.json, adapter_model.safetensors and the tokenizer's files.
Status WriteAdapter(const std::filesystem::path& folder, const CausalLM& model,
                    const NamedTensors& adapter, const std::string& base_reference,
                    const text::TextAssets& text);

}  // namespace attune::engine
