#include "worker/engine/tasks/free_memory.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace attune::engine {
namespace {

// The number behind a word that begins a line.
std::optional<int64_t> NumberOf(const char* file, const std::string& word) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string first;
    int64_t number = 0;
    if (words >> first >> number && first == word) return number;
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
  const auto kib = NumberOf("/proc/meminfo", "MemAvailable:");
  if (!kib) return std::nullopt;
  const int64_t machine = *kib * 1024;
  const auto limit = GroupLimit();
  // What the group holds of files is given back when it is needed.
  const auto held = NumberOf("/sys/fs/cgroup/memory.stat", "anon");
  return limit && held ? std::min(machine, *limit - *held) : machine;
}

}  // namespace attune::engine
