#pragma once

// Who keeps which part of the optimizer's state (ZeRO-1: Rajbhandari, Rasley, Ruwase, He 2020). No
// torch here.

#include <cstdint>
#include <vector>

#include "worker/engine/engine.h"

namespace attune::engine {

// Of parameters of these shapes the rank that keeps the state of each: what is largest first, to
// whoever has least. A parameter is not divided.
std::vector<int> AssignOwners(const OptimizerOptions& options,
                              const std::vector<std::vector<int64_t>>& shapes, int ranks);

}  // namespace attune::engine
