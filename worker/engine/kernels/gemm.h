#pragma once

// Single-precision matrix product on the CPU, for processors on which MKL does not use their widest
// vectors (it runs AVX2 code on AMD). Blocking and packing after Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008). oneDNN inside libtorch has wide code for those
// processors, too, and is up to 1.25 times as fast, but at 512 rows of the gradient by a weight
// only 0.6 times (docs/benchmarks.md); and torch reaches it only through operators that make their
// output anew, where we add to a residual or write into a slice. No torch here.

#include <cstdint>

namespace attune::engine::kernels {

// Element (i, j) is data[i * row_step + j * col_step]; one of the steps is 1.
struct GemmOperand {
  const float* data;
  int64_t row_step, col_step;
};

// c [m, n], rows c_stride apart, = or += a [m, k] b [k, n]. The result does not depend on
// `threads`.
void Gemm(const GemmOperand& a, const GemmOperand& b, float* c, int64_t c_stride, int64_t m,
          int64_t n, int64_t k, bool accumulate, int threads);

// Whether this processor is one for which Gemm is worth it.
bool GemmIsFast();

}  // namespace attune::engine::kernels
