#pragma once

// What memory a rank may use and has used, on its device.

#include <c10/core/Device.h>

#include <vector>

#include "worker/engine/engine.h"
#include "worker/engine/parallel/host_memory.h"

namespace attune::engine {

// What a rank on an open device may use: the host's pools, or all of a GPU, and its own limit.
std::vector<MemoryPool> PoolsOf(const Membership& membership, const at::Device& device);

// The most this process has had so far: resident on the CPU, taken from the device on a GPU.
int64_t PeakMemory(const at::Device& device);

}  // namespace attune::engine
