#include "worker/agent/gpu_query.h"

#include <dlfcn.h>

#include <algorithm>
#include <charconv>
#include <numeric>

namespace attune::worker {
namespace {

// The part of nvml.h that is used: its ABI is stable, and the header is not on a host without CUDA.
using Device = struct nvmlDevice*;
struct Memory {
  unsigned long long total, free, used;
};
struct Utilization {
  unsigned int gpu, memory;
};
constexpr unsigned kTemperatureGpu = 0;

struct Nvml {
  int (*init)() = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*handle)(unsigned, Device*) = nullptr;
  int (*memory)(Device, Memory*) = nullptr;
  int (*utilization)(Device, Utilization*) = nullptr;
  int (*temperature)(Device, unsigned, unsigned*) = nullptr;
};

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

class NvmlQuery final : public GpuQuery {
 public:
  NvmlQuery(const Nvml& nvml, std::vector<uint32_t> gpus) : nvml_(nvml), gpus_(std::move(gpus)) {}

  std::vector<GpuLoad> Read() override {
    std::vector<GpuLoad> loads;
    for (const uint32_t gpu : gpus_) {
      Device device = nullptr;
      Memory memory{};
      if (nvml_.handle(gpu, &device) != 0 || nvml_.memory(device, &memory) != 0) continue;
      GpuLoad load{.index = std::to_string(gpu),
                   .memory_bytes = memory.total,
                   .memory_used_bytes = memory.used};
      if (Utilization busy{}; nvml_.utilization(device, &busy) == 0) load.busy = busy.gpu / 100.0;
      if (unsigned celsius = 0; nvml_.temperature(device, kTemperatureGpu, &celsius) == 0) {
        load.temperature_celsius = celsius;
      }
      loads.push_back(std::move(load));
    }
    return loads;
  }

 private:
  const Nvml nvml_;
  const std::vector<uint32_t> gpus_;
};

}  // namespace

std::unique_ptr<GpuQuery> NewNvmlQuery(std::string_view visible) {
  // Stays loaded: NVML is shut down with the process.
  void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
  Nvml nvml;
  unsigned count = 0;
  if (library == nullptr || !Find(library, "nvmlInit_v2", &nvml.init) ||
      !Find(library, "nvmlDeviceGetCount_v2", &nvml.count) ||
      !Find(library, "nvmlDeviceGetHandleByIndex_v2", &nvml.handle) ||
      !Find(library, "nvmlDeviceGetMemoryInfo", &nvml.memory) ||
      !Find(library, "nvmlDeviceGetUtilizationRates", &nvml.utilization) ||
      !Find(library, "nvmlDeviceGetTemperature", &nvml.temperature) || nvml.init() != 0 ||
      nvml.count(&count) != 0) {
    return nullptr;
  }
  return std::make_unique<NvmlQuery>(nvml, VisibleGpus(visible, count));
}

std::vector<uint32_t> VisibleGpus(std::string_view visible, uint32_t count) {
  std::vector<uint32_t> gpus;
  while (!visible.empty()) {
    const std::string_view word = visible.substr(0, visible.find(','));
    uint32_t gpu = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), gpu);
    if (error == std::errc() && end == word.data() + word.size() && gpu < count) {
      gpus.push_back(gpu);
    }
    visible.remove_prefix(std::min(word.size() + 1, visible.size()));
  }
  if (!gpus.empty()) return gpus;
  gpus.resize(count);
  std::iota(gpus.begin(), gpus.end(), 0u);
  return gpus;
}

}  // namespace attune::worker
