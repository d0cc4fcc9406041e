#pragma once

#include <vector>

#include "coordinator/store/database.h"

namespace attune::drift {

// Area "drift". Add them once to what Database::Open is given.
std::vector<Migration> Migrations();

}  // namespace attune::drift
