#pragma once

#include <cstdint>
#include <filesystem>

#include "common/base/status.h"

namespace attune::models {

// Copies a regular file to a new one, shares its blocks where the file system can, and syncs.
// Returns its size. What is not a regular file (after symbolic links) is kInvalidArgument.
Result<uint64_t> CopyFile(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace attune::models
