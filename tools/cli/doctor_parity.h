#pragma once

#include "tools/cli/command.h"
#include "tools/cli/session.h"

namespace attune::cli {

// `attune doctor --parity`: the exit code.
Result<int> RunParity(Session& session, const Arguments& arguments);

}  // namespace attune::cli
