#pragma once

#include <signal.h>

namespace attune {

// For a daemon's main, before any thread, so that all threads inherit it: SIGTERM and SIGINT are
// blocked and only a sigwait on the returned set takes them; SIGPIPE is ignored.
sigset_t BlockStopSignals();

}  // namespace attune
