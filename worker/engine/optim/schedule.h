#pragma once

// Learning-rate schedules as pure functions, with the numbers of transformers' get_scheduler
// ("linear", "cosine", "constant_with_warmup"). No torch here.

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// The factor of the learning rate for the update that follows `step` applied ones (0: the first),
// of `total_steps`. It climbs linearly from 0 over warmup_steps updates, then falls to 0 along a
// line or half a cosine, or stays 1. kInvalidArgument with the field for a name that is none.
Result<double> ScheduleFactor(const OptimizerOptions& options, int step, int total_steps);

}  // namespace attune::engine
