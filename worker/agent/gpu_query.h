#pragma once

// What the NVIDIA driver says about the GPUs of this host.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace attune::worker {

struct GpuLoad {
  std::string index;  // the driver's number
  uint64_t memory_bytes = 0, memory_used_bytes = 0;
  double busy = 0;  // share of the last moments in which something ran, in [0, 1]
  double temperature_celsius = 0;
};

class GpuQuery {
 public:
  virtual ~GpuQuery() = default;
  // A GPU that does not answer is left out.
  virtual std::vector<GpuLoad> Read() = 0;
};

// Asks NVML, the driver's library. visible: CUDA_VISIBLE_DEVICES; only GPUs that it names by number
// are asked, all where it is empty. Null where there is no driver.
std::unique_ptr<GpuQuery> NewNvmlQuery(std::string_view visible);

// The numbers in a CUDA_VISIBLE_DEVICES below `count`; all where it names none.
std::vector<uint32_t> VisibleGpus(std::string_view visible, uint32_t count);

}  // namespace attune::worker
