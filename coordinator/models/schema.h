#pragma once

#include <vector>

#include "coordinator/store/database.h"

namespace attune::models {

// Area "models": aliases, their moves, gate reports. Versions themselves are in versions::Table.
std::vector<Migration> Migrations();

}  // namespace attune::models
