#include "worker/engine/kernels/activation.h"

#include <ATen/ATen.h>

#include "worker/engine/kernels/pointwise.h"

namespace attune::engine::kernels {
namespace {

at::Tensor Apply(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
  }
  return {};
}

at::Tensor Derive(const at::Tensor& dout, const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu_backward(dout, x);
    case Activation::kGelu:
      return at::gelu_backward(dout, x);
    case Activation::kGeluTanh:
      return at::gelu_backward(dout, x, "tanh");
    case Activation::kRelu:
      return at::threshold_backward(dout, x, 0);
  }
  return {};
}

}  // namespace

at::Tensor Activate(const at::Tensor& x, Activation activation, bool gated) {
  if (!gated) return Apply(x, activation);
  if (activation == Activation::kSilu) return Swiglu(x);
  const int64_t cols = x.size(1) / 2;
  return Apply(x.narrow(1, 0, cols), activation).mul_(x.narrow(1, cols, cols));
}

at::Tensor ActivateBackward(const at::Tensor& dout, const at::Tensor& x, Activation activation,
                            bool gated) {
  if (!gated) return Derive(dout, x, activation);
  if (activation == Activation::kSilu) return SwigluBackward(dout, x);
  const int64_t cols = x.size(1) / 2;
  const at::Tensor gate = x.narrow(1, 0, cols), up = x.narrow(1, cols, cols);
  const at::Tensor gradient = at::empty_like(x);
  gradient.narrow(1, 0, cols).copy_(Derive(dout * up, gate, activation));
  gradient.narrow(1, cols, cols).copy_(Apply(gate, activation).mul_(dout));
  return gradient;
}

}  // namespace attune::engine::kernels
