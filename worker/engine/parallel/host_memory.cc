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
  const char* held;        // what memory.stat calls bytes that are not of files
  const char* controller;  // as /proc/self/cgroup names it
};
constexpr Hierarchy kHierarchies[] = {
    {"sys/fs/cgroup", "memory.max", "anon", ""},
    {"sys/fs/cgroup/unified", "memory.max", "anon", ""},  // v2 beside v1
    {"sys/fs/cgroup/memory", "memory.limit_in_bytes", "total_rss", "memory"}};

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

// A control group around this process that has a limit.
struct Limited {
  const Hierarchy* hierarchy;
  fs::path folder;
  std::string name;  // of the group; empty: the top
  int64_t bytes = 0;
};

// Those of a group and the groups around it. Where a container sees only its own part of the
// hierarchy, the path of its group may not be there, and the group is the top.
void AddGroups(const Hierarchy& hierarchy, const fs::path& root, const fs::path& group,
               std::vector<Limited>& groups) {
  const fs::path top = root / hierarchy.folder;
  for (fs::path path = group.relative_path().lexically_normal();; path = path.parent_path()) {
    // A group outside of what the process sees is "/..".
    const bool outside = !path.empty() && *path.begin() == "..";
    const fs::path folder = outside ? top : top / path;
    const int64_t bytes = ReadLimit(folder / hierarchy.limit);
    if (bytes > 0) groups.push_back({&hierarchy, folder, outside ? "" : path.string(), bytes});
    if (path.empty() || outside) return;
  }
}

std::vector<Limited> LimitedGroups(const fs::path& root) {
  std::vector<Limited> groups;
  const std::string lines = ReadKernelFile(root / "proc/self/cgroup");
  for (const Hierarchy& hierarchy : kHierarchies) {
    const std::string group = GroupIn(lines, hierarchy);
    if (!group.empty()) AddGroups(hierarchy, root, group, groups);
  }
  return groups;
}

// Bytes of a group, and those in it, that are not of files; 0 where the kernel does not say.
int64_t Held(const Limited& group) {
  std::istringstream in(ReadKernelFile(group.folder / "memory.stat"));
  std::string name;
  for (int64_t bytes = 0; in >> name >> bytes;) {
    if (name == group.hierarchy->held) return bytes;
  }
  return 0;
}

}  // namespace

std::vector<MemoryPool> HostPools(const fs::path& root) {
  const auto all =
      static_cast<int64_t>(KernelBytes(ReadKernelFile(root / "proc/meminfo"), "MemTotal"));
  if (all == 0) return {};
  const std::string host = HostId(root);
  std::vector<MemoryPool> pools = {{.id = host, .name = "the host", .bytes = all}};
  for (const Limited& group : LimitedGroups(root)) {
    struct stat info {};
    if (group.bytes >= all || stat(group.folder.c_str(), &info) != 0) continue;
    const std::string number = std::to_string(info.st_dev) + "." + std::to_string(info.st_ino);
    pools.push_back(
        {.id = host + ":" + number, .name = "control group /" + group.name, .bytes = group.bytes});
  }
  return pools;
}

std::optional<int64_t> FreeHostBytes(const fs::path& root) {
  auto free =
      static_cast<int64_t>(KernelBytes(ReadKernelFile(root / "proc/meminfo"), "MemAvailable"));
  if (free == 0) return std::nullopt;
  for (const Limited& group : LimitedGroups(root)) {
    free = std::min(free, std::max<int64_t>(0, group.bytes - Held(group)));
  }
  return free;
}

int64_t PeakResidentBytes(const fs::path& root) {
  return static_cast<int64_t>(KernelBytes(ReadKernelFile(root / "proc/self/status"), "VmHWM"));
}

}  // namespace attune::engine
