#pragma once

#include <cstddef>
#include <functional>

#include "common/base/status.h"

namespace attune {

// body(i) for each i below count, on up to `threads` threads of which the caller's is one; returns
// after all have ended. After a failure no new i is started; the failure of the smallest i that
// failed is returned.
Status ParallelFor(size_t count, int threads, const std::function<Status(size_t)>& body);

}  // namespace attune
