#include "worker/engine/kernels/pointwise_gpu.h"

#include <ATen/ATen.h>

namespace attune::engine::kernels::gpu {
namespace {

const void* In(const at::Tensor& x) {
  return x.const_data_ptr();
}
void* Out(const at::Tensor& x) {
  return x.mutable_data_ptr();
}

void CheckContiguous(const at::Tensor& x) {
  TORCH_CHECK(x.is_contiguous(), "a kernel for the GPU needs contiguous rows");
}

}  // namespace

bool Takes(const at::Tensor& x) {
  const at::ScalarType type = x.scalar_type();
  return x.is_cuda() && (type == at::kFloat || type == at::kBFloat16) && !UseAtenOnly() &&
         Gpu() != nullptr;
}

GpuCall CallFor(const at::Tensor& x) {
  return {.device = x.device().index(), .half = x.scalar_type() == at::kBFloat16};
}

Normalized RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  CheckContiguous(x);
  Normalized out{at::empty_like(x), at::empty({x.size(0)}, x.options().dtype(at::kFloat))};
  Gpu()->rms_norm(CallFor(x), In(x), weight.const_data_ptr<float>(), Out(out.value),
                  out.rstd.mutable_data_ptr<float>(), x.size(0), x.size(1),
                  static_cast<float>(eps));
  return out;
}

void RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                     const at::Tensor& rstd, const at::Tensor& dx,
                     const at::Tensor& weight_gradient) {
  for (const at::Tensor* tensor : {&dy, &x, &dx}) CheckContiguous(*tensor);
  const int64_t rows = x.size(0), cols = x.size(1);
  at::Tensor partial;
  if (weight_gradient.defined()) partial = at::empty({kNormParts, cols}, rstd.options());
  Gpu()->rms_norm_backward(
      CallFor(x), In(dy), In(x), weight.const_data_ptr<float>(), rstd.const_data_ptr<float>(),
      Out(dx), partial.defined() ? partial.mutable_data_ptr<float>() : nullptr, rows, cols);
  if (partial.defined()) weight_gradient.add_(partial.sum(0));
}

void Rotate(const at::Tensor& x, int64_t heads, int64_t dim, const at::Tensor& cos,
            const at::Tensor& sin, bool inverse) {
  Gpu()->rotate(CallFor(x), Out(x), x.stride(0), x.size(0), heads, dim, cos.const_data_ptr<float>(),
                sin.const_data_ptr<float>(), inverse ? -1.0f : 1.0f);
}

at::Tensor Swiglu(const at::Tensor& gate_up) {
  CheckContiguous(gate_up);
  const int64_t rows = gate_up.size(0), cols = gate_up.size(1) / 2;
  at::Tensor out = at::empty({rows, cols}, gate_up.options());
  Gpu()->swiglu(CallFor(gate_up), In(gate_up), Out(out), rows, cols);
  return out;
}

at::Tensor SwigluBackward(const at::Tensor& dout, const at::Tensor& gate_up) {
  for (const at::Tensor* tensor : {&dout, &gate_up}) CheckContiguous(*tensor);
  at::Tensor gradient = at::empty_like(gate_up);
  Gpu()->swiglu_backward(CallFor(gate_up), In(dout), In(gate_up), Out(gradient), gate_up.size(0),
                         gate_up.size(1) / 2);
  return gradient;
}

void Dropout(const at::Tensor& out, const at::Tensor& x, const DropoutMask& mask,
             const RowPlaces& places, bool accumulate) {
  for (const at::Tensor* tensor : {&out, &x}) CheckContiguous(*tensor);
  TORCH_CHECK(places.device.defined() && places.device.size(0) == x.size(0), "dropout of ",
              x.size(0), " rows lacks their places on the GPU");
  const auto* where = reinterpret_cast<const RowPlace*>(places.device.const_data_ptr<int32_t>());
  Gpu()->dropout(CallFor(x), mask, where, In(x), Out(out), x.size(0), x.size(1), accumulate);
}

}  // namespace attune::engine::kernels::gpu
