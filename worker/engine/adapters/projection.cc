#include "worker/engine/adapters/projection.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "worker/engine/kernels/matmul.h"
#include "worker/engine/kernels/workspace.h"

namespace attune::engine {
namespace {

using kernels::MatMul;
using kernels::MatMulToFloat;

// A slice that is a parameter of its own: a leaf, whatever it is cut from.
at::Tensor Parameter(const at::Tensor& slice, bool trains) {
  return slice.detach().requires_grad_(trains);
}

// For arithmetic without autograd, in the type of the computation.
at::Tensor Plain(const at::Tensor& parameter, at::ScalarType dtype) {
  return parameter.detach().to(dtype);
}

// Uninitialised, like x, until the next call on this thread. On the CPU it is memory that stays:
// tensors that come and go here would leave holes among the activations that are kept.
at::Tensor Scratch(const at::Tensor& x) {
  if (!x.is_cpu() || x.scalar_type() != at::kFloat) return at::empty_like(x);
  thread_local kernels::Workspace workspace;
  return at::from_blob(workspace.Get(x.numel()), x.sizes(), x.options());
}

}  // namespace

Projection::Projection(const std::vector<LinearInfo>& linears, bool transposed,
                       const at::TensorOptions& weights, bool nf4)
    : in_(linears[0].in), options_(weights), transposed_(transposed) {
  TORCH_CHECK(linears.size() <= kPartsMost, "a projection has at most ", kPartsMost, " parts");
  TORCH_CHECK(!transposed || linears.size() == 1, "a transposed projection has one part");
  for (const LinearInfo& linear : linears) {
    parts_.push_back({linear.name, out_, linear.out, {}, {}, {}, {}});
    out_ += linear.out;
  }
  if (linears[0].bias) bias_ = at::empty({out_}, weights);
  if (nf4) {
    Slice();
  } else {
    Allocate();
  }
}

void Projection::Allocate() {
  weight_ = transposed_ ? at::empty({in_, out_}, options_).t() : at::empty({out_, in_}, options_);
  Slice();
}

void Projection::Quantize() {
  for (const Part& part : parts_) {
    nf4_.push_back(kernels::QuantizeNf4(weight_.narrow(0, part.begin, part.rows)));
  }
  weight_.reset();
  for (Part& part : parts_) part.weight.reset();
}

at::Tensor Projection::Dense(at::ScalarType dtype) const {
  if (nf4_.empty()) return weight_.to(dtype);
  const at::Tensor dense = at::empty({out_, in_}, options_.dtype(dtype));
  for (size_t i = 0; i < parts_.size(); ++i) {
    kernels::DequantizeNf4(nf4_[i], dense.narrow(0, parts_[i].begin, parts_[i].rows));
  }
  return dense;
}

void Projection::Slice() {
  for (Part& part : parts_) {
    if (weight_.defined()) {
      part.weight = transposed_ ? weight_.t() : weight_.narrow(0, part.begin, part.rows);
    }
    if (bias_.defined()) part.bias = bias_.narrow(0, part.begin, part.rows);
  }
}

void Projection::AppendTo(NamedTensors* named) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (nf4_.empty()) {
      named->emplace_back(part.name + ".weight", part.weight);
    } else {
      named->emplace_back(part.name + ".weight", nf4_[i].codes);
      named->emplace_back(part.name + ".weight.magnitudes", nf4_[i].magnitudes);
      named->emplace_back(part.name + ".weight.scales", nf4_[i].scales);
    }
    if (part.bias.defined()) named->emplace_back(part.name + ".bias", part.bias);
  }
}

void Projection::TrainBase(bool trains) {
  train_base_ = trains;
  for (Part& part : parts_) {
    if (part.weight.defined()) part.weight = Parameter(part.weight, trains);
    if (part.bias.defined()) part.bias = Parameter(part.bias, trains);
  }
}

void Projection::AddLora(const LoraConfig& config) {
  rank_ = config.rank;
  scale_ = config.scale();
  dropout_ = config.dropout;
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (std::ranges::find(config.modules, parts_[i].name) != config.modules.end())
      adapted_.push_back(i);
  }
  if (adapted_.empty()) return;
  const auto options = options_.dtype(at::kFloat);
  lora_a_ = at::empty({static_cast<int64_t>(adapted_.size()) * rank_, in_}, options);
  for (size_t i = 0; i < adapted_.size(); ++i) {
    Part& part = parts_[adapted_[i]];
    part.lora_a = Parameter(lora_a_.narrow(0, static_cast<int64_t>(i) * rank_, rank_), true);
    part.lora_b = at::empty({part.rows, rank_}, options).requires_grad_(true);
  }
}

void Projection::StoreFrozenAs(at::ScalarType dtype) {
  if (train_base_) return;
  if (weight_.defined()) weight_ = weight_.to(dtype);
  if (bias_.defined()) bias_ = bias_.to(dtype);
  Slice();
}

at::Tensor Projection::Forward(const at::Tensor& x, const at::Tensor& residual, const Call& call,
                               at::Tensor* keep) const {
  const at::ScalarType dtype = x.scalar_type();
  at::Tensor out;
  if (residual.defined()) {
    out = bias_.defined() ? residual + bias_.to(dtype) : residual.clone();
  } else if (bias_.defined()) {
    out = bias_.to(dtype).repeat({x.size(0), 1});
  } else {
    out = at::empty({x.size(0), out_}, x.options());
  }
  MatMul(out, x, Dense(dtype).t(), residual.defined() || bias_.defined());
  if (!adapted_.empty() && lora_enabled_) {
    at::Tensor scaled = LoraForward(x, call, out);
    if (keep != nullptr) *keep = std::move(scaled);
  }
  return out;
}

kernels::DropoutMask Projection::Mask(const Call& call, size_t part) const {
  return kernels::MakeDropoutMask(dropout_, call.seed, call.module + static_cast<uint32_t>(part));
}

at::Tensor Projection::LoraForward(const at::Tensor& x, const Call& call,
                                   const at::Tensor& out) const {
  const at::ScalarType dtype = x.scalar_type();
  const bool dropout = Drops(call);
  at::Tensor scaled = at::empty({x.size(0), lora_a_.size(0)}, x.options());
  if (!dropout) MatMul(scaled, x, lora_a_.to(dtype).t());
  for (size_t i = 0; i < adapted_.size(); ++i) {
    if (!dropout) break;
    const at::Tensor dropped = Scratch(x);
    kernels::Dropout(dropped, x, Mask(call, adapted_[i]), *call.places);
    MatMul(scaled.narrow(1, static_cast<int64_t>(i) * rank_, rank_), dropped,
           Plain(parts_[adapted_[i]].lora_a, dtype).t());
  }
  scaled.mul_(scale_);
  for (size_t i = 0; i < adapted_.size(); ++i) {
    const Part& part = parts_[adapted_[i]];
    MatMul(out.narrow(1, part.begin, part.rows),
           scaled.narrow(1, static_cast<int64_t>(i) * rank_, rank_), Plain(part.lora_b, dtype).t(),
           /*accumulate=*/true);
  }
  return scaled;
}

at::Tensor Projection::Backward(const at::Tensor& dy, const at::Tensor& x, const Call& call,
                                const at::Tensor& kept, bool want_dx,
                                std::vector<at::Tensor>& gradients) const {
  TORCH_CHECK(lora_enabled_, "an adapter that is switched off has no gradient");
  at::Tensor dx, weight_gradient, bias_gradient;
  if (train_base_) {
    weight_gradient = transposed_ ? MatMulToFloat(x.t(), dy) : MatMulToFloat(dy.t(), x);
    if (bias_.defined()) bias_gradient = dy.sum(0, /*keepdim=*/false, at::kFloat);
  }
  if (want_dx) dx = MatMul(dy, Dense(x.scalar_type()));
  std::vector<at::Tensor> a, b;
  if (!adapted_.empty()) LoraBackward(dy, x, call, kept, dx, a, b);
  size_t next = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (train_base_) {
      gradients.push_back(transposed_ ? weight_gradient
                                      : weight_gradient.narrow(0, part.begin, part.rows));
      if (part.bias.defined()) gradients.push_back(bias_gradient.narrow(0, part.begin, part.rows));
    }
    if (part.lora_a.defined()) {
      gradients.push_back(a[next]);
      gradients.push_back(b[next++]);
    }
  }
  return dx;
}

// With u = scaled: dB = dy^T u; du = scale * dy B; dA = du^T drop(x); dx += undrop(du A).
void Projection::LoraBackward(const at::Tensor& dy, const at::Tensor& x, const Call& call,
                              const at::Tensor& scaled, const at::Tensor& dx,
                              std::vector<at::Tensor>& a, std::vector<at::Tensor>& b) const {
  const at::ScalarType dtype = x.scalar_type();
  at::Tensor du = at::empty_like(scaled);
  for (size_t i = 0; i < adapted_.size(); ++i) {
    const Part& part = parts_[adapted_[i]];
    const at::Tensor slice = dy.narrow(1, part.begin, part.rows);
    const int64_t first = static_cast<int64_t>(i) * rank_;
    b.push_back(MatMulToFloat(slice.t(), scaled.narrow(1, first, rank_)));
    MatMul(du.narrow(1, first, rank_), slice, Plain(part.lora_b, dtype));
  }
  du.mul_(scale_);
  if (!Drops(call)) {
    const at::Tensor all = MatMulToFloat(du.t(), x);
    for (size_t i = 0; i < adapted_.size(); ++i) {
      a.push_back(all.narrow(0, static_cast<int64_t>(i) * rank_, rank_));
    }
    if (dx.defined()) MatMul(dx, du, lora_a_.to(dtype), /*accumulate=*/true);
    return;
  }
  for (size_t i = 0; i < adapted_.size(); ++i) {
    const kernels::DropoutMask mask = Mask(call, adapted_[i]);
    const at::Tensor part = du.narrow(1, static_cast<int64_t>(i) * rank_, rank_);
    const at::Tensor scratch = Scratch(x);
    kernels::Dropout(scratch, x, mask, *call.places);
    a.push_back(MatMulToFloat(part.t(), scratch));
    if (!dx.defined()) continue;
    MatMul(scratch, part, Plain(parts_[adapted_[i]].lora_a, dtype));
    kernels::Dropout(dx, scratch, mask, *call.places, /*accumulate=*/true);
  }
}

std::vector<at::Tensor> Projection::Trainable() const {
  std::vector<at::Tensor> tensors;
  for (const Part& part : parts_) {
    if (train_base_) {
      tensors.push_back(part.weight);
      if (part.bias.defined()) tensors.push_back(part.bias);
    }
    if (part.lora_a.defined()) {
      tensors.push_back(part.lora_a);
      tensors.push_back(part.lora_b);
    }
  }
  return tensors;
}

}  // namespace attune::engine
