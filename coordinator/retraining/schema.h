#pragma once

#include <vector>

#include "coordinator/store/database.h"

namespace attune::retraining {

// Area "retraining". Add them once to what Database::Open is given.
std::vector<Migration> Migrations();

}  // namespace attune::retraining
