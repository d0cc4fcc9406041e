#include "worker/engine/kernels/matmul.h"

#include <ATen/ATen.h>

namespace attune::engine::kernels {

void MatMul(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  at::Tensor target = out;
  if (accumulate) {
    at::addmm_out(target, out, a, b);
  } else {
    at::mm_out(target, a, b);
  }
}

at::Tensor MatMul(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  MatMul(out, a, b);
  return out;
}

}  // namespace attune::engine::kernels
