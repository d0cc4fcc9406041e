#pragma once

// What the kernel says about this host, within the limits of the control group that holds us.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attune::worker {

struct HostFacts {
  uint32_t cores = 1;
  uint64_t memory_bytes = 0;
};
HostFacts ReadHostFacts();

struct HostLoad {
  uint64_t memory_free_bytes = 0;  // could be had without swapping
  double load = 0;                 // of the last minute
  double cpu_busy_seconds = 0;     // of all cores since boot
};
HostLoad ReadHostLoad();

// Lower case, without the domain.
std::string HostName();

// Models of the NVIDIA GPUs the driver shows, in order; empty where there is none.
std::vector<std::string> GpuNames();

// The parsers, apart for tests. A field that is missing or not a number is 0.
double ParseLoad(std::string_view text);                                // of /proc/loadavg
double ParseBusySeconds(std::string_view text, long ticks_per_second);  // of /proc/stat
// Cores of a cgroup v2 cpu.max ("200000 100000": 2), rounded up; 0: no limit.
uint32_t ParseCpuMax(std::string_view text);

}  // namespace attune::worker
