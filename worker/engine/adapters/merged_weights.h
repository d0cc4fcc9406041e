#pragma once

// The weights of a base with an adapter merged into them, made when they are read.

#include <memory>

#include "common/base/status.h"
#include "common/model/lora_config.h"
#include "worker/engine/formats/weights.h"

namespace attune::engine {

// adapter: tensors that CheckLoraTensors accepts for the model. Reads A and B, and keeps the base;
// the adapter outlives what comes out, which reads what it has in place of the base's.
Result<std::unique_ptr<WeightSource>> MergeWeights(std::unique_ptr<WeightSource> base,
                                                   const LoraConfig& lora, const ModelConfig& model,
                                                   const WeightSource& adapter);

}  // namespace attune::engine
