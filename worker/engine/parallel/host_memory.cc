#include "worker/engine/parallel/host_memory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "common/base/kernel_file.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

// A hierarchy of control groups that counts memory.
struct Hierarchy {
  const char* folder;
  const char* limit;
  const char* controller;  // as /proc/self/cgroup names it
};
constexpr Hierarchy kHierarchies[] = {{"sys/fs/cgroup", "memory.max", ""},
                                      {"sys/fs/cgroup/unified", "memory.max", ""},  // v2 beside v1
                                      {"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory"}};

// The kernel's name for this boot of the host. Copies of a virtual machine that was running share
// it, so it needs the host's name, too; containers with names of their own then share no host, and
// are told apart by their groups.
std::string HostId(const fs::path& root) {
  std::string boot = ReadKernelFile(root / "proc/sys/kernel/random/boot_id");
  boot.erase(std::find(boot.begin(), boot.end(), '\n'), boot.end());
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0) name[0] = '\0';
  return boot + "/" + name;
}

bool Names(const std::string& controllers, const char* controller) {
  std::istringstream in(controllers);
  for (std::string one; std::getline(in, one, ',');) {
    if (one == controller) return true;
  }
  return controllers.empty() && *controller == '\0';
}

// This process's group in a hierarchy, out of lines "NUMBER:CONTROLLERS:PATH"; empty: in none.
std::string GroupIn(const std::string& lines, const Hierarchy& hierarchy) {
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    if (Names(line.substr(first + 1, second - first - 1), hierarchy.controller)) {
      return line.substr(second + 1);
    }
  }
  return "";
}

// Groups without a limit say "max" (v2) or a number above all memory (v1).
int64_t ReadLimit(const fs::path& file) {
  const std::string text = ReadKernelFile(file);
  int64_t bytes = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  return error == std::errc() && stop != text.data() ? bytes : 0;
}

// Those of a group and the groups around it with less than `most` bytes. Where a container sees
// only its own part of the hierarchy, the path of its group may not be there, and the group is the
// top.
void AddGroups(const Hierarchy& hierarchy, const fs::path& root, const fs::path& group,
               const std::string& host, int64_t most, std::vector<MemoryPool>& pools) {
  const fs::path top = root / hierarchy.folder;
  for (fs::path path = group.relative_path().lexically_normal();; path = path.parent_path()) {
    // A group outside of what the process sees is "/..".
    const bool outside = !path.empty() && *path.begin() == "..";
    const fs::path folder = outside ? top : top / path;
    const int64_t bytes = ReadLimit(folder / hierarchy.limit);
    struct stat info {};
    if (bytes > 0 && bytes < most && stat(folder.c_str(), &info) == 0) {
      const std::string number = std::to_string(info.st_dev) + "." + std::to_string(info.st_ino);
      pools.push_back({.id = host + ":" + number,
                       .name = "control group /" + (outside ? "" : path.string()),
                       .bytes = bytes});
    }
    if (path.empty() || outside) return;
  }
}

}  // namespace

std::vector<MemoryPool> HostPools(const fs::path& root) {
  const auto all =
      static_cast<int64_t>(KernelBytes(ReadKernelFile(root / "proc/meminfo"), "MemTotal"));
  if (all == 0) return {};
  const std::string host = HostId(root);
  std::vector<MemoryPool> pools = {{.id = host, .name = "the host", .bytes = all}};
  const std::string groups = ReadKernelFile(root / "proc/self/cgroup");
  for (const Hierarchy& hierarchy : kHierarchies) {
    const std::string group = GroupIn(groups, hierarchy);
    if (!group.empty()) AddGroups(hierarchy, root, group, host, all, pools);
  }
  return pools;
}

int64_t PeakResidentBytes(const fs::path& root) {
  return static_cast<int64_t>(KernelBytes(ReadKernelFile(root / "proc/self/status"), "VmHWM"));
}

}  // namespace attune::engine
