#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "common/base/status.h"

namespace attune::models {

// Hears how many more bytes are done, now and then; its error ends the work.
using OnBytes = std::function<Status(uint64_t)>;

// Copies a regular file to a new one, shares its blocks where the file system can, and syncs.
// Returns its size. What is not a regular file (after symbolic links) is kInvalidArgument.
Result<uint64_t> CopyFile(const std::filesystem::path& from, const std::filesystem::path& to,
                          const OnBytes& on_bytes = {});

}  // namespace attune::models
