#pragma once

// Matrix products on two-dimensional tensors, no autograd. Operands may be transposed or
// row-strided views.

#include <ATen/core/Tensor.h>

namespace attune::engine::kernels {

// out = a b, or out += a b. All of one dtype and device.
void MatMul(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
            bool accumulate = false);
at::Tensor MatMul(const at::Tensor& a, const at::Tensor& b);

// The same into float32, whatever the operands' type. A GPU sums bfloat16 products in float32
// anyway and then does not round them.
void MatMulToFloat(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                   bool accumulate = false);
at::Tensor MatMulToFloat(const at::Tensor& a, const at::Tensor& b);

}  // namespace attune::engine::kernels
