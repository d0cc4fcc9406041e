#pragma once

// When a window closes. Pure functions.

#include <string>

#include "common/base/clock.h"
#include "coordinator/drift/repository.h"

namespace attune::drift {

// Why the open window closes now ("500 examples", "open for 1d with 70 examples"); empty: it does
// not. A stream that changed its size may have more rows than a window takes now.
std::string DueReason(const WindowRecord& open, const v1::WindowSpec& spec, TimePoint now);

// The window takes no more rows.
void MarkFull(WindowRecord* window, TimePoint now);

// How many windows a stream looks at in a week, at most: what its false alarms are shared out
// over. recent: windows that closed within the last seven days.
double LooksPerWeek(const v1::WindowSpec& spec, uint64_t recent);

}  // namespace attune::drift
