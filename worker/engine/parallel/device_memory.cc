#include "worker/engine/parallel/device_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>

namespace attune::engine {
namespace {

c10::DeviceIndex IndexOf(const at::Device& device) {
  return std::max<c10::DeviceIndex>(device.index(), 0);
}

}  // namespace

std::vector<MemoryPool> PoolsOf(const Membership& membership, const at::Device& device) {
  std::vector<MemoryPool> pools;
  if (device.is_cpu()) {
    pools = HostPools();
  } else {
    // A GPU is one rank's: NCCL refuses two on one.
    const auto [free, total] =
        c10::getDeviceAllocator(device.type())->getMemoryInfo(IndexOf(device));
    pools.push_back({.name = device.str(), .bytes = static_cast<int64_t>(total)});
  }
  if (membership.memory_limit > 0) {
    pools.push_back({.name = "its memory limit", .bytes = membership.memory_limit});
  }
  return pools;
}

int64_t PeakMemory(const at::Device& device) {
  if (device.is_cpu()) return PeakResidentBytes();
  const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(IndexOf(device));
  constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return stats.reserved_bytes[kAll].peak;
}

}  // namespace attune::engine
