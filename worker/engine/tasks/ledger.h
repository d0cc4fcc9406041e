#pragma once

// The ledger of a run, which rank 0 writes: what each example is planned for, and what each step of
// this attempt was fed (common/ledger).

#include <optional>

#include "common/base/status.h"
#include "common/ledger/step_log.h"
#include "worker/engine/checkpoint/fence.h"
#include "worker/engine/tasks/setup.h"

namespace attune::engine {

// Writes the plan where the run has none of this digest yet, and begins the attempt's record of
// steps. Empty for a task without a generation: then attempts cannot be told apart. Takes seconds
// for millions of examples.
Result<std::optional<ledger::StepLogWriter>> OpenLedger(const TrainTask& task,
                                                        const TrainingSetup& setup,
                                                        const Fence& fence, int world_size);

}  // namespace attune::engine
