#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace attune::worker {

// The last lines of a file as valid UTF-8, oldest first, each cut at 2000 bytes; empty when the
// file cannot be read. Looks at its last 64 KiB only.
std::vector<std::string> ReadLogTail(const std::filesystem::path& path, size_t lines);

}  // namespace attune::worker
