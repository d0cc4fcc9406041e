#pragma once

// The weights of a base with an adapter's products added, made when they are read.

#include <memory>

#include "common/base/status.h"
#include "common/model/lora_config.h"
#include "worker/engine/formats/weights.h"

namespace attune::engine {

// adapter: tensors that CheckLoraTensors accepts for the base. Reads them, and keeps the base.
// transposed: the base's weights are stored [in, out].
Result<std::unique_ptr<WeightSource>> MergeWeights(std::unique_ptr<WeightSource> base,
                                                   const LoraConfig& lora, bool transposed,
                                                   const WeightSource& adapter);

}  // namespace attune::engine
