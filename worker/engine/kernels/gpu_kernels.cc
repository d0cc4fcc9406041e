#include "worker/engine/kernels/gpu_kernels.h"

#include <dlfcn.h>

namespace attune::engine::kernels {

const GpuKernels* Gpu() {
  // The module is opened for everybody (RTLD_GLOBAL) before the first tensor on a GPU.
  static const auto* const kernels =
      static_cast<const GpuKernels*>(dlsym(RTLD_DEFAULT, kGpuKernelsSymbol));
  return kernels;
}

}  // namespace attune::engine::kernels
