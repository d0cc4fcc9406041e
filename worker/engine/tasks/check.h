#pragma once

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// What can be said about a task without opening a file; kInvalidArgument with the field of the job
// spec.
Status CheckTrainTask(const TrainTask& task, int world_size);

// What is wrong with a warm-up in a run of so many steps; empty when nothing is.
std::string WarmupWarning(const TrainTask& task, int steps);

}  // namespace attune::engine
