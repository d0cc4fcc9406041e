#pragma once

#include "common/base/status.h"

namespace attune::cli {

// The contract with scripts; docs/cli.md lists it.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;  // usage, or an invalid spec
inline constexpr int kExitNotFound = 3;
inline constexpr int kExitDenied = 4;
inline constexpr int kExitConflict = 5;
inline constexpr int kExitUnavailable = 6;  // try again
inline constexpr int kExitInterrupted = 130;

int ExitCode(const Status& status);

}  // namespace attune::cli
