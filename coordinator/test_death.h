#pragma once

#include "coordinator/store/database.h"

namespace attune {

// Of tests: an observer that ends this process, as kill -9 does, right after its Nth commit that
// appended an event. ATTUNE_TEST_DEATH names a file that holds N; null when there is no N.
Database::Observer TestDeath();

}  // namespace attune
