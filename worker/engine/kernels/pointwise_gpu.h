#pragma once

// pointwise.h for tensors on a GPU: the CUDA module's kernels.

#include "worker/engine/kernels/gpu_kernels.h"
#include "worker/engine/kernels/pointwise.h"

namespace attune::engine::kernels::gpu {

// Whether the module's kernels take x: float32 or bfloat16 on a GPU, contiguous where it is asked
// of them.
bool Takes(const at::Tensor& x);
GpuCall CallFor(const at::Tensor& x);

Normalized RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);
// Takes at most kNormColsMost columns where weight_gradient is defined.
void RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                     const at::Tensor& rstd, const at::Tensor& dx,
                     const at::Tensor& weight_gradient);
void Rotate(const at::Tensor& x, int64_t heads, int64_t dim, const at::Tensor& cos,
            const at::Tensor& sin, bool inverse);
at::Tensor Swiglu(const at::Tensor& gate_up);
at::Tensor SwigluBackward(const at::Tensor& dout, const at::Tensor& gate_up);
void Dropout(const at::Tensor& out, const at::Tensor& x, const DropoutMask& mask,
             const RowPlaces& places, bool accumulate);

}  // namespace attune::engine::kernels::gpu
