#pragma once

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// What can be said about a task without opening a file; kInvalidArgument with the field of the job
// spec.
Status CheckTrainTask(const TrainTask& task, int world_size);

// kInvalidArgument unless a sequence fits into as many positions as the base leaves to tokens.
Status CheckLength(const TrainTask& task, int64_t positions);

// What is wrong with a warm-up in a run of so many steps; empty when nothing is.
std::string WarmupWarning(const TrainTask& task, int steps);

}  // namespace attune::engine
