#pragma once

// How much memory optimizers take.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// kInvalidArgument with the field for a name that is none.
Status CheckOptimizerName(const std::string& name);

// Bytes of what the optimizer keeps of a parameter of this shape between updates.
int64_t StateBytes(const OptimizerOptions& options, const std::vector<int64_t>& shape);

}  // namespace attune::engine
