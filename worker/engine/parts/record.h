#pragma once

// How a part of a model becomes one node of autograd: it computes without autograd, keeps what its
// backward needs and nothing else, and says what its gradients are. What it keeps may point at the
// part itself (its norm, its projection): parts outlive the graph and stay where they are.

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace attune::engine {

using Tensors = std::vector<at::Tensor>;

// Whether a gradient of some input is wanted at all. Inputs may be undefined.
bool Records(const Tensors& inputs);

// From the gradient by the output to those by the inputs, in their order; undefined ones are zero.
// wanted(i): whether that of input i is needed.
using BackwardOf =
    std::function<Tensors(const at::Tensor& dy, const std::function<bool(size_t)>& wanted)>;

// Makes `out`, which was computed without autograd, an output of one node. Runs once, and lets go
// of all that `backward` holds as soon as it has run. name: for profilers and messages.
void Record(const char* name, const at::Tensor& out, const Tensors& inputs, BackwardOf backward);

// forward(x) without keeping anything of it: backward runs it again. parameters: what else in it
// has a gradient.
at::Tensor Checkpointed(const at::Tensor& x, const Tensors& parameters,
                        std::function<at::Tensor(const at::Tensor&)> forward);

}  // namespace attune::engine
