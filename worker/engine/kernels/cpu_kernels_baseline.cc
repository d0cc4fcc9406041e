#define ATTUNE_KERNELS kCpuKernelsBaseline
#define ATTUNE_ISA "baseline"
#define ATTUNE_LANES 4
#include "worker/engine/kernels/cpu_kernels.inc"
