#include "worker/engine/adapters/projection.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "worker/engine/kernels/matmul.h"

namespace attune::engine {
namespace {

using kernels::MatMul;
using kernels::MatMulToFloat;

// A slice that is a parameter of its own: a leaf, whatever it is cut from.
at::Tensor Parameter(const at::Tensor& slice, bool trains) {
  return slice.detach().requires_grad_(trains);
}

}  // namespace

Projection::Projection(const std::vector<LinearInfo>& linears, bool transposed,
                       const at::TensorOptions& weights, bool nf4)
    : in_(linears[0].in), options_(weights), transposed_(transposed) {
  TORCH_CHECK(linears.size() <= kPartsMost, "a projection has at most ", kPartsMost, " parts");
  TORCH_CHECK(!transposed || linears.size() == 1, "a transposed projection has one part");
  for (const LinearInfo& linear : linears) {
    parts_.push_back({.name = linear.name, .begin = out_, .rows = linear.out});
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

std::shared_ptr<LowRank> Projection::MakeLowRank(const LoraConfig& config) const {
  std::vector<LowRank::Pair> pairs;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    const auto module = std::ranges::find(config.modules, part.name, &LoraModule::name);
    if (module == config.modules.end()) continue;
    pairs.push_back({.name = part.name,
                     .part = i,
                     .begin = part.begin,
                     .rows = part.rows,
                     .rank = module->rank,
                     .scale = config.scale(*module)});
  }
  if (pairs.empty()) return nullptr;
  return std::make_shared<LowRank>(std::move(pairs), in_, config, options_);
}

void Projection::AppendTo(Slots* slots) {
  for (Part& part : parts_) {
    slots->push_back({part.name + ".weight", &part.own_weight, part.weight});
    if (bias_.defined()) slots->push_back({part.name + ".bias", &part.own_bias, part.bias});
  }
}

void Projection::StoreFrozenAs(at::ScalarType dtype) {
  if (train_base_) return;
  if (weight_.defined()) weight_ = weight_.to(dtype);
  if (bias_.defined()) bias_ = bias_.to(dtype);
  Slice();
}

bool Projection::has_own_weights() const {
  return std::ranges::any_of(parts_, [](const Part& part) { return part.own_weight.defined(); });
}

at::Tensor Projection::Dense(const Part& part, at::ScalarType dtype) const {
  if (!nf4_.empty() && !part.own_weight.defined()) {
    const at::Tensor dense = at::empty({part.rows, in_}, options_.dtype(dtype));
    kernels::DequantizeNf4(nf4_[static_cast<size_t>(&part - parts_.data())], dense);
    return dense;
  }
  const at::Tensor weight = part.own_weight.defined() ? part.own_weight : part.weight;
  return (transposed_ ? weight.detach().t() : weight.detach()).to(dtype);
}

at::Tensor Projection::Bias(at::ScalarType dtype) const {
  if (!bias_.defined()) return {};
  at::Tensor bias = bias_.to(dtype);
  for (const Part& part : parts_) {
    if (!part.own_bias.defined()) continue;
    if (bias.is_same(bias_) || bias.is_alias_of(bias_)) bias = bias.clone();
    bias.narrow(0, part.begin, part.rows).copy_(part.own_bias.detach());
  }
  return bias;
}

void Projection::Multiply(const at::Tensor& out, const at::Tensor& x, bool accumulate) const {
  const at::ScalarType dtype = x.scalar_type();
  if (!has_own_weights()) return MatMul(out, x, Dense(dtype).t(), accumulate);
  for (const Part& part : parts_) {
    MatMul(out.narrow(1, part.begin, part.rows), x, Dense(part, dtype).t(), accumulate);
  }
}

at::Tensor Projection::MultiplyBack(const at::Tensor& dy) const {
  const at::ScalarType dtype = dy.scalar_type();
  if (!has_own_weights()) return MatMul(dy, Dense(dtype));
  at::Tensor dx = at::zeros({dy.size(0), in_}, dy.options());
  for (const Part& part : parts_) {
    MatMul(dx, dy.narrow(1, part.begin, part.rows), Dense(part, dtype), /*accumulate=*/true);
  }
  return dx;
}

at::Tensor Projection::Forward(const at::Tensor& x, const at::Tensor& residual,
                               const DropoutCall& call, Kept* keep) const {
  const at::Tensor bias = Bias(x.scalar_type());
  at::Tensor out;
  if (residual.defined()) {
    out = bias.defined() ? residual + bias : residual.clone();
  } else if (bias.defined()) {
    out = bias.repeat({x.size(0), 1});
  } else {
    out = at::empty({x.size(0), out_}, x.options());
  }
  Kept kept;
  if (low_rank_ != nullptr && low_rank_->scales()) {
    if (!residual.defined() && !bias.defined()) out.zero_();
    AddScaled(out, x, call, kept);
  } else {
    Multiply(out, x, residual.defined() || bias.defined());
    if (low_rank_ != nullptr) kept.scaled = low_rank_->Forward(x, call, out);
  }
  if (keep != nullptr) *keep = std::move(kept);
  return out;
}

at::Tensor Projection::Backward(const at::Tensor& dy, const at::Tensor& x, const DropoutCall& call,
                                const Kept& kept, bool want_dx,
                                std::vector<at::Tensor>& gradients) const {
  at::Tensor dx, all_weights;
  if (train_base_) all_weights = transposed_ ? MatMulToFloat(x.t(), dy) : MatMulToFloat(dy.t(), x);
  std::vector<std::vector<at::Tensor>> pairs;
  if (low_rank_ != nullptr && low_rank_->scales()) {
    dx = ScaledBackward(dy, x, call, kept, want_dx, pairs);
  } else {
    if (want_dx) dx = MultiplyBack(dy);
    if (low_rank_ != nullptr) pairs = low_rank_->Backward(dy, x, call, kept.scaled, dx);
  }
  size_t next = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    const at::Tensor slice = dy.narrow(1, part.begin, part.rows);
    if (train_base_) {
      gradients.push_back(transposed_ ? all_weights : all_weights.narrow(0, part.begin, part.rows));
    } else if (part.own_weight.defined()) {
      gradients.push_back(transposed_ ? MatMulToFloat(x.t(), slice) : MatMulToFloat(slice.t(), x));
    }
    if ((train_base_ && part.bias.defined()) || part.own_bias.defined()) {
      gradients.push_back(slice.sum(0, /*keepdim=*/false, at::kFloat));
    }
    if (next < pairs.size() && low_rank_->pairs()[next].part == i) {
      for (at::Tensor& gradient : pairs[next++]) gradients.push_back(std::move(gradient));
    }
  }
  return dx;
}

std::vector<at::Tensor> Projection::Trainable() const {
  std::vector<at::Tensor> tensors;
  const auto add = [&](const at::Tensor& base, const at::Tensor& own) {
    if (own.defined()) {
      tensors.push_back(own);
    } else if (train_base_ && base.defined()) {
      tensors.push_back(base);
    }
  };
  size_t next = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    add(parts_[i].weight, parts_[i].own_weight);
    add(parts_[i].bias, parts_[i].own_bias);
    if (low_rank_ == nullptr || next == low_rank_->pairs().size()) continue;
    const LowRank::Pair& pair = low_rank_->pairs()[next];
    if (pair.part != i) continue;
    for (at::Tensor& tensor : LowRank::Trainable(pair)) tensors.push_back(std::move(tensor));
    ++next;
  }
  return tensors;
}

}  // namespace attune::engine
