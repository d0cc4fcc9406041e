#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "common/base/status.h"

namespace attune {

struct FolderChecksum {
  std::string sha256;  // over the lines "NAME SHA256\n" of the files in order of name
  uint64_t bytes = 0;
};

// Of the regular files in a folder, not below it; names that start with a dot do not count.
// on_bytes hears how many more bytes are done, now and then; its error ends the work.
Result<FolderChecksum> ChecksumFolder(const std::filesystem::path& folder,
                                      const std::function<Status(uint64_t)>& on_bytes = {});

}  // namespace attune
