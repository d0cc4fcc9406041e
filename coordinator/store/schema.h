#pragma once

#include <vector>

#include "coordinator/store/database.h"

namespace attune {

// The tables of the store itself: events and requests. Database::Open adds them to the caller's.
std::vector<Migration> StoreMigrations();

}  // namespace attune
