#pragma once

#include <filesystem>
#include <string>

#include "coordinator/drift/monitor.h"
#include "coordinator/jobs/control_loop.h"
#include "coordinator/metrics/metrics.h"
#include "coordinator/retraining/controller.h"
#include "coordinator/store/database.h"

namespace attune {

// What /metrics shows of the state now. certificate: a PEM file, or empty.
Result<metrics::Snapshot> TakeSnapshot(Database* database, jobs::ControlLoop* loop,
                                       drift::Monitor* monitor,
                                       const retraining::Controller* retraining, Clock* clock,
                                       const std::filesystem::path& storage,
                                       const std::string& certificate);

}  // namespace attune
