#include "worker/engine/tasks/free_memory.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "common/base/kernel_file.h"

namespace attune::engine {
namespace {

// Bytes of the process's control group that are not of files.
std::optional<int64_t> GroupHolds() {
  std::ifstream in("/sys/fs/cgroup/memory.stat");
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string first;
    int64_t number = 0;
    if (words >> first >> number && first == "anon") return number;
  }
  return std::nullopt;
}

// "max" where there is no limit.
std::optional<int64_t> GroupLimit() {
  std::ifstream in("/sys/fs/cgroup/memory.max");
  int64_t bytes = 0;
  return in >> bytes ? std::optional(bytes) : std::nullopt;
}

}  // namespace

std::optional<int64_t> FreeMemory() {
  const auto machine =
      static_cast<int64_t>(KernelBytes(ReadKernelFile("/proc/meminfo"), "MemAvailable"));
  if (machine == 0) return std::nullopt;
  const auto limit = GroupLimit();
  // What the group holds of files is given back when it is needed.
  const auto held = GroupHolds();
  return limit && held ? std::min(machine, *limit - *held) : machine;
}

}  // namespace attune::engine
