#pragma once

// Model folders that transformers and peft load as they are.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"
#include "worker/engine/tasks/weights_output.h"
#include "worker/text/text.h"

namespace attune::engine {

// What attempts that were lost left beside `folder` of it, up to that of this generation.
void RemoveUnfinished(const std::filesystem::path& folder, uint32_t generation);

// Lets write fill a hidden folder beside `folder`, then gives it its name, which must be free by
// then or an empty folder's. On failure nothing is left. generation: of the attempt that writes, so
// that two do not write into one folder; what earlier ones left unfinished is removed.
Status WriteFolder(const std::filesystem::path& folder, uint32_t generation,
                   const std::function<Status(const std::filesystem::path&)>& write);

// config.json, generation_config.json, the weights and the tokenizer's files. config_json is of
// weights in this dtype.
Status WriteModel(const std::filesystem::path& folder, const std::vector<OutputTensor>& tensors,
                  const std::string& dtype, const std::string& config_json,
                  const text::TextAssets& text);

// adapter_config.json, adapter_model.safetensors, the tokenizer's files, and a classifier's labels
// (kLabelsFile).
Status WriteAdapter(const std::filesystem::path& folder, const std::vector<OutputTensor>& tensors,
                    const std::string& dtype, const std::string& config_json,
                    const std::vector<std::string>& labels, const text::TextAssets& text);

// What else goes along with a copy of the model or with what was made of it, unless the folder has
// it already: of an adapter its base's licence too, but never its README.
Status CopySideFiles(const ModelFiles& model, const std::filesystem::path& folder, bool readme);

}  // namespace attune::engine
