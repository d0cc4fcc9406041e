// The CUDA module, libattune_cuda.so: all that needs CUDA libraries, so that a trainer on a CPU
// never loads them. parallel/backends.cc opens it with dlopen when a device asks for it; loading it
// also brings in libtorch_cuda, which registers the CUDA kernels of every ATen operator.

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "worker/engine/parallel/backends.h"

namespace attune::engine {

extern "C" __attribute__((visibility("default"))) c10d::Backend* attune_open_nccl(
    const BackendRequest& request) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = request.timeout;
  auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(request.store, request.rank,
                                                           request.world_size, options);
  // Without it the first collective guesses the device from the rank, which is wrong for a second
  // host.
  group->setBoundDeviceId(
      at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(request.device_index)));
  return group.release();
}

static_assert(std::is_same_v<decltype(&attune_open_nccl), OpenNcclFunction>);

}  // namespace attune::engine
