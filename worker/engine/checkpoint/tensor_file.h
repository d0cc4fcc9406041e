#pragma once

// Named tensors in a safetensors file: float32, or bytes (uint8).

#include <filesystem>

#include "common/base/status.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {

// Replaces path in one step. CPU tensors that are contiguous are written from where they are,
// without a copy.
Status SaveTensors(const std::filesystem::path& path, const NamedTensors& tensors);

// Copies the file's tensors into these. The file must hold exactly these names with these shapes,
// else kDataLoss and nothing is copied; it may hold others beside them where these are a part.
Status LoadTensorsInto(const std::filesystem::path& path, const NamedTensors& tensors,
                       bool is_part = false);

}  // namespace attune::engine
