#pragma once

// What needs versions of data sets: open jobs and updates, windows to be measured, and what may ask
// for them again (schedules, streams' references, the lineage of models that aliases point at).

#include "coordinator/datasets/catalog.h"

namespace attune {

datasets::Users DatasetUsers();

}  // namespace attune
