#pragma once

#include "worker/engine/data/plan.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/parallel/group.h"

namespace attune::engine {

// The predicted peak of a rank in bytes. kInvalidArgument, on every rank, when the run cannot fit
// into what the ranks have; a warning on rank 0 when it may not, or resumes. Collective; before
// there is a model. Rank 0 decides for all.
Result<int64_t> AdmitRun(const TrainTask& task, const PreparedData& data, const StepPlan& plan,
                         Group& group, Observer& observer);

}  // namespace attune::engine
