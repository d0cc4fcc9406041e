#pragma once

// What memory the processes of a host may use and have used, as the kernel says it. No torch here.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace attune::engine {

// Memory that a rank draws from, and with it whoever else does.
struct MemoryPool {
  std::string id;     // equal for the same pool, seen by any process; empty: this rank's alone
  std::string name;   // "the host", "control group /attune", "cuda:0"
  int64_t bytes = 0;  // all there is, used or not

  bool operator==(const MemoryPool&) const = default;
};

// The host's memory, and each control group (v1, v2) around this process that may have less; none
// where the kernel does not say. root: what /proc and /sys are below.
std::vector<MemoryPool> HostPools(const std::filesystem::path& root = "/");

// Bytes that this process could take without swapping or dying: of the host's memory, and of the
// limit of each of those groups. What they hold of files counts as free: it is given back when it
// is needed. Empty where the kernel does not say.
std::optional<int64_t> FreeHostBytes(const std::filesystem::path& root = "/");

// The largest resident size of this process so far; 0 where the kernel does not say.
int64_t PeakResidentBytes(const std::filesystem::path& root = "/");

}  // namespace attune::engine
