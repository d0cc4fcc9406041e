#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace attune::engine {

// The 2-norm over all gradients of the parameters taken as one vector (a missing gradient counts as
// zero). On the CPU the sums have a fixed order: the same bits for any number of threads.
double GradientNorm(const std::vector<at::Tensor>& parameters);

// The 2-norm of a float32 tensor on the CPU, likewise.
double Norm(const at::Tensor& tensor);

// What gradients are multiplied with so that their norm is at most clip_norm, as torch's
// clip_grad_norm_ does it; 1 where clip_norm is 0.
double ClipFactor(double norm, double clip_norm);

}  // namespace attune::engine
