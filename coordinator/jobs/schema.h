#pragma once

#include <vector>

#include "coordinator/store/database.h"

namespace attune::jobs {

// Tables jobs, attempts, trainers, step_metrics and nodes.
std::vector<Migration> Migrations();

}  // namespace attune::jobs
