#pragma once

// The activation between the two linear layers of an MLP, forward and backward, no autograd.

#include <ATen/core/Tensor.h>

#include "common/model/model_config.h"

namespace attune::engine::kernels {

// gated: x is [T, 2 I], gate first -> activation(gate) * up [T, I]; else activation(x) [T, I].
at::Tensor Activate(const at::Tensor& x, Activation activation, bool gated);
// The gradient by x.
at::Tensor ActivateBackward(const at::Tensor& dout, const at::Tensor& x, Activation activation,
                            bool gated);

}  // namespace attune::engine::kernels
