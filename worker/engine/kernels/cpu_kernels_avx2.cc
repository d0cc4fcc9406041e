#define ATTUNE_KERNELS kCpuKernelsAvx2
#define ATTUNE_ISA "avx2"
#define ATTUNE_LANES 8
#include "worker/engine/kernels/cpu_kernels.inc"
