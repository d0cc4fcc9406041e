#pragma once

// Fused pointwise and row-wise operations of a decoder layer, forward and backward, no autograd.
// float32 on the CPU runs our loops, a GPU the CUDA module's kernels; everything else the same
// formulas in ATen. All compute in float32.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "worker/engine/kernels/cpu_kernels.h"

namespace attune::engine::kernels {

struct Normalized {
  at::Tensor value;  // [T, H], dtype of x
  at::Tensor rstd;   // float32 [T]: 1 / sqrt(mean of squares + eps)
};
// x [T, H] contiguous, weight float32 [H].
Normalized RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);
// dx += gradient by x. weight_gradient (float32 [H]), where defined, += gradient by weight.
void RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                     const at::Tensor& rstd, const at::Tensor& dx,
                     const at::Tensor& weight_gradient);

// Rotates the first `heads` vectors of `dim` of each row of x [T, >= heads * dim] in place (Llama's
// half-split layout); cos and sin are float32 [T, dim / 2]. Where they have fewer columns, only so
// many features of each vector turn, the first ones. The inverse is also the gradient.
void Rotate(const at::Tensor& x, int64_t heads, int64_t dim, const at::Tensor& cos,
            const at::Tensor& sin, bool inverse);

// gate_up [T, 2 I], gate first -> silu(gate) * up [T, I].
at::Tensor Swiglu(const at::Tensor& gate_up);
at::Tensor SwigluBackward(const at::Tensor& dout, const at::Tensor& gate_up);

// Drops a share p, rounded to 1 / 65536, and scales the rest so that the expectation stays.
DropoutMask MakeDropoutMask(double p, uint64_t seed, uint32_t module);
// Where each row of x comes from, on the host and, when they are for a GPU, there: int32 [T, 2].
struct RowPlaces {
  RowPlaces() = default;
  RowPlaces(std::vector<RowPlace> places, const at::Device& where = at::kCPU);
  std::vector<RowPlace> host;
  at::Tensor device;
};
// out = or += mask * x, both contiguous [T, H] of one type, row by row of places. Backward makes
// the mask again.
void Dropout(const at::Tensor& out, const at::Tensor& x, const DropoutMask& mask,
             const RowPlaces& places, bool accumulate = false);

}  // namespace attune::engine::kernels
