#pragma once

// One log format for every program, on standard error:
// 2026-11-24T18:06:24.123456Z info coordinator: message key=value. Use spdlog's calls directly.

#include <spdlog/spdlog.h>

#include <string>

#include "common/base/status.h"

namespace attune {

// level: debug, info, warn or error.
Status InitLogging(const std::string& program, const std::string& level);

}  // namespace attune
