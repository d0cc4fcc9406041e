#pragma once

// What CpuKernels is for the CPU, for a GPU: whole operations, compiled in the CUDA module
// (cuda/kernels.cu). No torch here.

#include <cstdint>
#include <string>

#include "worker/engine/kernels/cpu_kernels.h"

namespace attune::engine::kernels {

// Where and on what. Everything is queued on the device's current stream.
struct GpuCall {
  int device = 0;
  bool half = false;  // values are bfloat16; else float32. Weights and statistics are float32.
};

// Matrices are [rows, cols], contiguous unless a stride is given.
struct GpuKernels {
  void (*rms_norm)(const GpuCall& call, const void* x, const float* w, void* h, float* rstd,
                   int64_t rows, int64_t cols, float eps);
  // partial: null, or [kNormParts, cols], which receives sums over rows of the gradient by w.
  void (*rms_norm_backward)(const GpuCall& call, const void* dh, const void* x, const float* w,
                            const float* rstd, void* dx, float* partial, int64_t rows,
                            int64_t cols);
  void (*rotate)(const GpuCall& call, void* x, int64_t stride, int64_t rows, int64_t heads,
                 int64_t dim, const float* cos, const float* sin, float sign);
  void (*swiglu)(const GpuCall& call, const void* gate_up, void* out, int64_t rows, int64_t cols);
  void (*swiglu_backward)(const GpuCall& call, const void* dout, const void* gate_up,
                          void* dgate_up, int64_t rows, int64_t cols);
  // losses: one a row; NaN where the target is none of the columns.
  void (*cross_entropy)(const GpuCall& call, void* logits, const int64_t* targets, float* losses,
                        int64_t rows, int64_t cols, bool gradient);
  void (*dropout)(const GpuCall& call, const DropoutMask& mask, const RowPlace* places,
                  const void* x, void* out, int64_t rows, int64_t cols, bool accumulate);
  // What codes of 4 bits stand for, the first of two in the high bits: values[code] (16 of them)
  // times the scale of its block of 64 numbers. codes: [ceil(numbers / 2)].
  void (*dequantize_nf4)(const GpuCall& call, const uint8_t* codes, const float* values,
                         const float* scales, void* out, int64_t numbers);
  // The first number of the device's compute capability, and its name ("NVIDIA H100 80GB HBM3").
  int (*generation)(int device);
  std::string (*name)(int device);
};

inline constexpr int64_t kNormParts = 256;
// Columns that rms_norm_backward has room for when it makes the gradient by w: the 48 KiB of shared
// memory that a block has unasked, less the 128 bytes of its sums.
inline constexpr int64_t kNormColsMost = 12256;

// Those of the CUDA module, which whoever has a tensor on a GPU has loaded; null without it.
const GpuKernels* Gpu();

// The name under which the module exports its GpuKernels.
inline constexpr char kGpuKernelsSymbol[] = "attune_gpu_kernels";

}  // namespace attune::engine::kernels
