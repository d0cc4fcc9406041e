#pragma once

// What Linux says in /proc and /sys.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace attune {

// Such files have no size, so they are read to their end, 64 KiB at most; empty where there is
// none.
std::string ReadKernelFile(const std::filesystem::path& path);

// Of lines "NAME:  123 kB" (meminfo, a process's status), in bytes. 0 where the field is missing or
// no number.
uint64_t KernelBytes(std::string_view text, std::string_view field);

}  // namespace attune
