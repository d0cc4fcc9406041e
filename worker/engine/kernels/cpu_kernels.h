#pragma once

// Inner loops for one thread over float32 rows, compiled once for each instruction set
// (cpu_kernels.inc) and chosen at run time. Rows are `cols` apart unless a stride is given. No
// torch here.

#include <cstdint>

namespace attune::engine::kernels {

// Where a row of activations comes from.
struct RowPlace {
  uint32_t example, position;
};

// What dropout drops, as a pure function: element `feature` of a row is dropped when 16 bits of
// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3",
// 2011) are below `threshold`. Its key is `seed`, its counter (16 * (feature / 128) + feature % 16,
// position, example, module); of the 8 halves of its words, low ones first, it is number
// feature % 128 / 16.
struct DropoutMask {
  uint64_t seed;
  uint32_t module;
  uint32_t threshold;  // of 65536
  float scale;         // of what is kept
};

struct CpuKernels {
  const char* name;  // "avx512", "avx2" or "baseline"

  // h = w * x * rstd, rstd[row] = 1 / sqrt(mean(x^2) + eps).
  void (*rms_norm)(const float* x, const float* w, float* h, float* rstd, int64_t rows,
                   int64_t cols, float eps);
  // dx += gradient of rms_norm by x; dw (may be null) += gradient by w, over these rows.
  void (*rms_norm_backward)(const float* dh, const float* x, const float* w, const float* rstd,
                            float* dx, float* dw, int64_t rows, int64_t cols);
  // Rotates `heads` vectors of `dim` in each row in place; cos and sin are [rows, dim / 2]. sign -1
  // is the inverse rotation (its transpose, so also the gradient).
  void (*rotate)(float* x, int64_t stride, int64_t rows, int64_t heads, int64_t dim,
                 const float* cos, const float* sin, float sign);
  // gate_up is [rows, 2 * cols], gate first; out = silu(gate) * up.
  void (*swiglu)(const float* gate_up, float* out, int64_t rows, int64_t cols);
  void (*swiglu_backward)(const float* dout, const float* gate_up, float* dgate_up, int64_t rows,
                          int64_t cols);
  // Negative log likelihood of target. The row becomes its gradient, softmax - onehot, when asked.
  float (*cross_entropy)(float* logits, int64_t cols, int64_t target, bool gradient);
  // out = or += mask * x.
  void (*dropout)(const DropoutMask& mask, const RowPlace* places, const float* x, float* out,
                  int64_t rows, int64_t cols, bool accumulate);
  void (*axpy)(float alpha, const float* x, float* y, int64_t count);  // y += alpha * x

  // The parts of a matrix product (gemm.cc). A panel holds, for each k, tile_rows elements of a
  // column of A, or tile_cols elements of a row of B.
  int tile_rows, tile_cols;
  // panel[k][j] = source[k * step_k + j * step_j] for j < count, 0 for count <= j < width. One step
  // is 1.
  void (*pack)(const float* source, int64_t step_k, int64_t step_j, int64_t depth, int64_t width,
               int64_t count, float* panel);
  // c[tile_rows][tile_cols], rows stride apart, = or += the product of the two panels.
  void (*multiply)(int64_t depth, const float* a, const float* b, float* c, int64_t stride,
                   bool accumulate);
  // to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < cols.
  void (*transpose)(const float* from, int64_t from_stride, int64_t rows, int64_t cols, float* to,
                    int64_t to_stride);

  // The parts of attention (attention_cpu.cc). Matrices of `rows` x tile_cols: a row is a key, a
  // column a query; column j may see rows 0 .. diagonal + j. scores -> exp(scale * scores -
  // largest), 0 where hidden; sums of columns, and log of the sum of exponentials.
  void (*softmax_columns)(float* scores, int64_t rows, int64_t diagonal, float scale, float* sums,
                          float* logsumexp);
  // scores -> probabilities; dscores: from the gradient by the probabilities to that by the
  // unscaled scores.
  void (*softmax_columns_backward)(float* scores, float* dscores, int64_t rows, int64_t diagonal,
                                   float scale, const float* logsumexp, const float* delta);
  // x -> cap * tanh(scale * x / cap) / scale. factors (may be null): the derivative.
  void (*softcap)(float* x, float* factors, int64_t count, float scale, float cap);
  void (*scale_by)(const float* factors, float* x, int64_t count);  // x *= factors
  void (*divide_columns)(float* x, int64_t rows, const float* divisors);
  float (*dot)(const float* x, const float* y, int64_t count);
};

// The best set that this processor runs; ATTUNE_CPU=avx2 or baseline asks for less.
const CpuKernels& Cpu();

// ATTUNE_CPU=aten: none of these loops, only what other devices run. For tests of that code.
bool UseAtenOnly();

extern const CpuKernels kCpuKernelsBaseline;
extern const CpuKernels kCpuKernelsAvx2;
extern const CpuKernels kCpuKernelsAvx512;

}  // namespace attune::engine::kernels
