#pragma once

// A model and examples that are the same on every machine. No torch here.

#include <filesystem>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// Tokens of an example at most, by the sample model's tokenizer.
inline constexpr int kSampleLength = 96;

// A random Llama of some 20,000 parameters whose tokens are whole words.
Result<ModelFiles> WriteSampleModel(const std::filesystem::path& folder);

// 48 texts, prompts and completions of 3 to about 60 words.
Result<DatasetFiles> WriteSampleData(const std::filesystem::path& folder);

}  // namespace attune::engine
