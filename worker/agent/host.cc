#include "worker/agent/host.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "common/base/kernel_file.h"

namespace attune::worker {
namespace {

namespace fs = std::filesystem;

uint64_t LimitOr(const std::string& text, uint64_t otherwise) {
  if (text.empty() || !std::isdigit(static_cast<unsigned char>(text[0]))) return otherwise;
  return std::min<uint64_t>(otherwise, std::strtoull(text.c_str(), nullptr, 10));
}

}  // namespace

double ParseLoad(std::string_view text) {
  double load = 0;
  std::istringstream(std::string(text)) >> load;
  return load;
}

double ParseBusySeconds(std::string_view text, long ticks_per_second) {
  // cpu user nice system idle iowait irq softirq steal ...
  std::istringstream in{std::string(text)};
  std::string name;
  if (!(in >> name) || name != "cpu" || ticks_per_second <= 0) return 0;
  double busy = 0, ticks;
  for (int i = 0; i < 8 && in >> ticks; ++i) {
    if (i != 3 && i != 4) busy += ticks;
  }
  return busy / static_cast<double>(ticks_per_second);
}

uint32_t ParseCpuMax(std::string_view text) {
  std::istringstream in{std::string(text)};
  double quota, period;
  if (!(in >> quota >> period) || quota <= 0 || period <= 0) return 0;
  return static_cast<uint32_t>(std::max(1.0, std::ceil(quota / period)));
}

HostFacts ReadHostFacts() {
  HostFacts facts;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    facts.cores = static_cast<uint32_t>(std::max(1, CPU_COUNT(&allowed)));
  } else {
    facts.cores = static_cast<uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  }
  if (uint32_t limit = ParseCpuMax(ReadKernelFile("/sys/fs/cgroup/cpu.max")); limit > 0) {
    facts.cores = std::min(facts.cores, limit);
  }
  facts.memory_bytes = LimitOr(ReadKernelFile("/sys/fs/cgroup/memory.max"),
                               KernelBytes(ReadKernelFile("/proc/meminfo"), "MemTotal"));
  return facts;
}

HostLoad ReadHostLoad() {
  HostLoad load;
  load.memory_free_bytes = KernelBytes(ReadKernelFile("/proc/meminfo"), "MemAvailable");
  load.load = ParseLoad(ReadKernelFile("/proc/loadavg"));
  load.cpu_busy_seconds = ParseBusySeconds(ReadKernelFile("/proc/stat"), sysconf(_SC_CLK_TCK));
  return load;
}

std::string HostName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "worker";
  std::string host(name);
  host = host.substr(0, host.find('.'));
  std::transform(host.begin(), host.end(), host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return host;
}

std::vector<std::string> GpuNames() {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator it("/proc/driver/nvidia/gpus", error), end; !error && it != end;
       it.increment(error)) {
    folders.push_back(it->path());
  }
  std::sort(folders.begin(), folders.end());  // by PCI address
  std::vector<std::string> names;
  for (const fs::path& folder : folders) {
    std::istringstream in(ReadKernelFile(folder / "information"));
    std::string line, model = "NVIDIA GPU";
    while (std::getline(in, line)) {
      if (line.rfind("Model:", 0) != 0) continue;
      size_t start = line.find_first_not_of(" \t", 6);
      if (start != std::string::npos) model = line.substr(start);
    }
    names.push_back(model);
  }
  return names;
}

}  // namespace attune::worker
