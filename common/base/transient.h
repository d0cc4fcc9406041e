#pragma once

#include "common/base/status.h"

namespace attune {

// Trying again later may mend it: something is away, busy, full or broken for a while, and what was
// asked is not to blame.
bool IsTransient(const Status& status);

}  // namespace attune
