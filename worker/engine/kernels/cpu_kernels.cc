#include "worker/engine/kernels/cpu_kernels.h"

#include <cstdlib>
#include <string_view>

namespace attune::engine::kernels {
namespace {

const CpuKernels& Choose() {
  const char* wish = std::getenv("ATTUNE_CPU");
  const std::string_view most = wish == nullptr ? "avx512" : wish;
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx512 && most == "avx512") return kCpuKernelsAvx512;
  if (avx2 && most != "baseline") return kCpuKernelsAvx2;
  return kCpuKernelsBaseline;
}

}  // namespace

const CpuKernels& Cpu() {
  static const CpuKernels& chosen = Choose();
  return chosen;
}

bool UseAtenOnly() {
  static const bool only = [] {
    const char* wish = std::getenv("ATTUNE_CPU");
    return wish != nullptr && std::string_view(wish) == "aten";
  }();
  return only;
}

}  // namespace attune::engine::kernels
