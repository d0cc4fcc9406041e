#pragma once

#include "coordinator/jobs/control_loop.h"
#include "coordinator/metrics/metrics.h"
#include "coordinator/store/database.h"

namespace attune {

// What /metrics shows of the state now.
Result<metrics::Snapshot> TakeSnapshot(Database* database, jobs::ControlLoop* loop, Clock* clock);

}  // namespace attune
