#include "worker/engine/kernels/pointwise.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "worker/engine/kernels/cpu_kernels.h"
#include "worker/engine/kernels/parallel.h"
#include "worker/engine/kernels/pointwise_gpu.h"

namespace attune::engine::kernels {
namespace {

// Rows that are worth a thread, for rows of cols floats.
int64_t Grain(int64_t cols) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(cols, 1));
}

// Whether our loops run for this tensor's device.
bool OnCpu(const at::Tensor& x) {
  return x.device().is_cpu() && !UseAtenOnly();
}

bool IsPlain(const at::Tensor& x) {
  return OnCpu(x) && x.scalar_type() == at::kFloat && x.is_contiguous();
}

// On the CPU, other types go through our loops as float32 copies.
bool IsNarrow(const at::Tensor& x) {
  return OnCpu(x) && x.scalar_type() != at::kFloat;
}

at::Tensor Wide(const at::Tensor& x) {
  return x.to(at::kFloat).contiguous();
}

}  // namespace

Normalized RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (gpu::Takes(x)) return gpu::RmsNorm(x, weight, eps);
  if (IsNarrow(x)) {
    Normalized out = RmsNorm(Wide(x), weight, eps);
    return {out.value.to(x.scalar_type()), out.rstd};
  }
  if (!IsPlain(x)) {
    const at::Tensor wide = x.to(at::kFloat);
    at::Tensor rstd = (wide.square().mean(1) + eps).rsqrt();
    return {(wide * rstd.unsqueeze(1) * weight).to(x.scalar_type()), rstd};
  }
  const int64_t cols = x.size(1);
  Normalized out{at::empty_like(x), at::empty({x.size(0)}, x.options())};
  const float* in = x.const_data_ptr<float>();
  const float* w = weight.const_data_ptr<float>();
  float* h = out.value.mutable_data_ptr<float>();
  float* rstd = out.rstd.mutable_data_ptr<float>();
  ParallelRows(x.size(0), Grain(cols), [&](int64_t begin, int64_t end) {
    Cpu().rms_norm(in + begin * cols, w, h + begin * cols, rstd + begin, end - begin, cols,
                   static_cast<float>(eps));
  });
  return out;
}

void RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                     const at::Tensor& rstd, const at::Tensor& dx,
                     const at::Tensor& weight_gradient) {
  const bool fits_gpu = !weight_gradient.defined() || x.size(1) <= kNormColsMost;
  if (gpu::Takes(x) && fits_gpu) {
    return gpu::RmsNormBackward(dy, x, weight, rstd, dx, weight_gradient);
  }
  if (IsNarrow(x)) {
    const at::Tensor wide = Wide(dx);
    RmsNormBackward(Wide(dy), Wide(x), weight, rstd, wide, weight_gradient);
    dx.copy_(wide);
    return;
  }
  if (!IsPlain(x)) {
    const at::Tensor normalized = x.to(at::kFloat) * rstd.unsqueeze(1);
    const at::Tensor wide = dy.to(at::kFloat);
    const at::Tensor g = wide * weight;
    const at::Tensor mean = (g * normalized).mean(1, /*keepdim=*/true);
    dx.add_(((g - normalized * mean) * rstd.unsqueeze(1)).to(dx.scalar_type()));
    if (weight_gradient.defined()) weight_gradient.add_((wide * normalized).sum(0));
    return;
  }
  const int64_t rows = x.size(0), cols = x.size(1);
  const int threads = Threads();
  at::Tensor partial;
  if (weight_gradient.defined()) partial = at::zeros({threads, cols}, x.options());
  float* partials = partial.defined() ? partial.mutable_data_ptr<float>() : nullptr;
  const float* g = dy.const_data_ptr<float>();
  const float* in = x.const_data_ptr<float>();
  const float* w = weight.const_data_ptr<float>();
  const float* scale = rstd.const_data_ptr<float>();
  float* out = dx.mutable_data_ptr<float>();
  RunParallel(threads, [&](int t, int members) {
    const int64_t begin = rows * t / members, end = rows * (t + 1) / members;
    float* dw = partials == nullptr ? nullptr : partials + t * cols;
    Cpu().rms_norm_backward(g + begin * cols, in + begin * cols, w, scale + begin,
                            out + begin * cols, dw, end - begin, cols);
  });
  if (partial.defined()) weight_gradient.add_(partial.sum(0));
}

void Rotate(const at::Tensor& x, int64_t heads, int64_t dim, const at::Tensor& cos,
            const at::Tensor& sin, bool inverse) {
  if (const int64_t rotated = 2 * cos.size(1); rotated < dim) {
    const at::Tensor part =
        x.narrow(1, 0, heads * dim).view({x.size(0), heads, dim}).narrow(2, 0, rotated);
    const at::Tensor copy = part.reshape({x.size(0), heads * rotated});
    Rotate(copy, heads, rotated, cos, sin, inverse);
    part.copy_(copy.view(part.sizes()));
    return;
  }
  if (gpu::Takes(x)) return gpu::Rotate(x, heads, dim, cos, sin, inverse);
  const int64_t rows = x.size(0), stride = x.stride(0), half = dim / 2;
  if (IsNarrow(x)) {
    const at::Tensor part = x.narrow(1, 0, heads * dim), wide = Wide(part);
    Rotate(wide, heads, dim, cos, sin, inverse);
    part.copy_(wide);
    return;
  }
  if (!OnCpu(x)) {
    const at::Tensor vectors = x.narrow(1, 0, heads * dim).view({rows, heads, 2, half});
    const at::Tensor a = vectors.select(2, 0).to(at::kFloat),
                     b = vectors.select(2, 1).to(at::kFloat);
    const at::Tensor c = cos.unsqueeze(1);
    const at::Tensor s = inverse ? -sin.unsqueeze(1) : sin.unsqueeze(1);
    // Both before either is written: a and b may be views of x.
    const at::Tensor first = a * c - b * s, second = b * c + a * s;
    vectors.select(2, 0).copy_(first);
    vectors.select(2, 1).copy_(second);
    return;
  }
  float* data = x.mutable_data_ptr<float>();
  const float* c = cos.const_data_ptr<float>();
  const float* s = sin.const_data_ptr<float>();
  ParallelRows(rows, Grain(heads * dim), [&](int64_t begin, int64_t end) {
    Cpu().rotate(data + begin * stride, stride, end - begin, heads, dim, c + begin * half,
                 s + begin * half, inverse ? -1.0f : 1.0f);
  });
}

at::Tensor Swiglu(const at::Tensor& gate_up) {
  if (gpu::Takes(gate_up)) return gpu::Swiglu(gate_up);
  const int64_t rows = gate_up.size(0), cols = gate_up.size(1) / 2;
  if (IsNarrow(gate_up)) return Swiglu(Wide(gate_up)).to(gate_up.scalar_type());
  if (!IsPlain(gate_up)) {
    return at::silu(gate_up.narrow(1, 0, cols)) * gate_up.narrow(1, cols, cols);
  }
  at::Tensor out = at::empty({rows, cols}, gate_up.options());
  const float* in = gate_up.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  ParallelRows(rows, Grain(cols), [&](int64_t begin, int64_t end) {
    Cpu().swiglu(in + begin * 2 * cols, to + begin * cols, end - begin, cols);
  });
  return out;
}

at::Tensor SwigluBackward(const at::Tensor& dout, const at::Tensor& gate_up) {
  if (gpu::Takes(gate_up)) return gpu::SwigluBackward(dout, gate_up);
  const int64_t rows = gate_up.size(0), cols = gate_up.size(1) / 2;
  if (IsNarrow(gate_up)) return SwigluBackward(Wide(dout), Wide(gate_up)).to(gate_up.scalar_type());
  at::Tensor gradient = at::empty_like(gate_up);
  if (!IsPlain(gate_up)) {
    const at::Tensor gate = gate_up.narrow(1, 0, cols).to(at::kFloat);
    const at::Tensor d = dout.to(at::kFloat);
    const at::Tensor s = at::sigmoid(gate);
    gradient.narrow(1, cols, cols).copy_(d * gate * s);
    gradient.narrow(1, 0, cols).copy_(d * gate_up.narrow(1, cols, cols) * s * (1 + gate * (1 - s)));
    return gradient;
  }
  const float* d = dout.const_data_ptr<float>();
  const float* in = gate_up.const_data_ptr<float>();
  float* out = gradient.mutable_data_ptr<float>();
  ParallelRows(rows, Grain(cols), [&](int64_t begin, int64_t end) {
    Cpu().swiglu_backward(d + begin * cols, in + begin * 2 * cols, out + begin * 2 * cols,
                          end - begin, cols);
  });
  return gradient;
}

DropoutMask MakeDropoutMask(double p, uint64_t seed, uint32_t module) {
  const auto threshold = static_cast<uint32_t>(std::clamp(std::lround(p * 65536), 0L, 65535L));
  return {seed, module, threshold, 65536.0f / static_cast<float>(65536 - threshold)};
}

RowPlaces::RowPlaces(std::vector<RowPlace> places, const at::Device& where)
    : host(std::move(places)) {
  static_assert(sizeof(RowPlace) == 2 * sizeof(int32_t));
  if (where.is_cpu()) return;
  device = at::from_blob(host.data(), {static_cast<int64_t>(host.size()), 2}, at::kInt).to(where);
}

void Dropout(const at::Tensor& out, const at::Tensor& x, const DropoutMask& mask,
             const RowPlaces& places, bool accumulate) {
  if (gpu::Takes(x)) return gpu::Dropout(out, x, mask, places, accumulate);
  const int64_t rows = x.size(0), cols = x.size(1);
  if (!x.device().is_cpu() || x.scalar_type() != at::kFloat || !x.is_contiguous()) {
    // The mask comes from the host, so that it is the same on every device.
    const at::Tensor factors = at::ones(x.sizes(), at::kFloat);
    Dropout(factors, factors, mask, places);
    const at::Tensor kept = x * factors.to(x.options());
    if (accumulate) {
      out.add_(kept);
    } else {
      out.copy_(kept);
    }
    return;
  }
  TORCH_CHECK(static_cast<int64_t>(places.host.size()) == rows, "dropout of ", rows, " rows has ",
              places.host.size(), " places");
  const float* in = x.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  ParallelRows(rows, Grain(cols), [&](int64_t begin, int64_t end) {
    Cpu().dropout(mask, places.host.data() + begin, in + begin * cols, to + begin * cols,
                  end - begin, cols, accumulate);
  });
}

}  // namespace attune::engine::kernels
