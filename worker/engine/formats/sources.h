#pragma once

// The kinds of WeightSource, one function each; OpenWeights chooses. Private to this folder.

#include <filesystem>
#include <memory>

#include "common/base/status.h"
#include "worker/engine/formats/weights.h"

namespace attune::engine {

Result<std::unique_ptr<WeightSource>> OpenSafetensorsWeights(const std::filesystem::path& file);
// index: a *.safetensors.index.json; the shards lie beside it.
Result<std::unique_ptr<WeightSource>> OpenShardedWeights(const std::filesystem::path& index);
Result<std::unique_ptr<WeightSource>> OpenGgufWeights(const std::filesystem::path& file);

}  // namespace attune::engine
