#define ATTUNE_KERNELS kCpuKernelsAvx512
#define ATTUNE_ISA "avx512"
#define ATTUNE_LANES 16
#include "worker/engine/kernels/cpu_kernels.inc"
