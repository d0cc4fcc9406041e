#include "worker/engine/adapters/low_rank.h"

#include <ATen/ATen.h>

#include <utility>

#include "worker/engine/kernels/matmul.h"
#include "worker/engine/kernels/workspace.h"

namespace attune::engine {
namespace {

using kernels::MatMul;
using kernels::MatMulToFloat;

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

LowRank::LowRank(std::vector<Pair> pairs, int64_t in, const LoraConfig& config,
                 const at::TensorOptions& options)
    : pairs_(std::move(pairs)), dropout_(config.dropout) {
  const auto floats = options.dtype(at::kFloat);
  int64_t ranks = 0;
  for (Pair& pair : pairs_) {
    pair.first = std::exchange(ranks, ranks + pair.rank);
    pair.b = at::empty({pair.rows, pair.rank}, floats).requires_grad_(true);
    const auto vector = [&] { return at::empty({pair.rows}, floats).requires_grad_(true); };
    if (config.lora_bias) pair.bias = vector();
    if (config.dora) pair.magnitude = vector();
  }
  a_ = at::empty({ranks, in}, floats);
  // Leaves, whatever they are cut from.
  for (Pair& pair : pairs_) {
    pair.a = a_.narrow(0, pair.first, pair.rank).detach().requires_grad_(true);
  }
}

kernels::DropoutMask LowRank::Mask(const DropoutCall& call, const Pair& pair) const {
  return kernels::MakeDropoutMask(dropout_, call.seed,
                                  call.module + static_cast<uint32_t>(pair.part));
}

at::Tensor LowRank::Forward(const at::Tensor& x, const DropoutCall& call,
                            const at::Tensor& out) const {
  const at::ScalarType dtype = x.scalar_type();
  at::Tensor scaled = at::empty({x.size(0), a_.size(0)}, x.options());
  if (!Drops(call)) MatMul(scaled, x, a_.to(dtype).t());
  for (const Pair& pair : pairs_) {
    const at::Tensor own = scaled.narrow(1, pair.first, pair.rank);
    if (Drops(call)) {
      const at::Tensor dropped = Scratch(x);
      Drop(dropped, x, call, pair);
      MatMul(own, dropped, Plain(pair.a, dtype).t());
    }
    own.mul_(pair.scale);
    const at::Tensor slice = out.narrow(1, pair.begin, pair.rows);
    MatMul(slice, own, Plain(pair.b, dtype).t(), /*accumulate=*/true);
    if (pair.bias.defined()) slice.add_(Plain(pair.bias, dtype), pair.scale);
  }
  return scaled;
}

// With u = scaled: dB = dy^T u; du = scale * dy B; dA = du^T drop(x); dx += undrop(du A).
std::vector<std::vector<at::Tensor>> LowRank::Backward(const at::Tensor& dy, const at::Tensor& x,
                                                       const DropoutCall& call,
                                                       const at::Tensor& scaled,
                                                       const at::Tensor& dx) const {
  const at::ScalarType dtype = x.scalar_type();
  std::vector<at::Tensor> a, b;
  at::Tensor du = at::empty_like(scaled);
  for (const Pair& pair : pairs_) {
    const at::Tensor slice = dy.narrow(1, pair.begin, pair.rows);
    b.push_back(MatMulToFloat(slice.t(), scaled.narrow(1, pair.first, pair.rank)));
    const at::Tensor own = du.narrow(1, pair.first, pair.rank);
    MatMul(own, slice, Plain(pair.b, dtype));
    own.mul_(pair.scale);
  }
  if (!Drops(call)) {
    const at::Tensor all = MatMulToFloat(du.t(), x);
    for (const Pair& pair : pairs_) a.push_back(all.narrow(0, pair.first, pair.rank));
    if (dx.defined()) MatMul(dx, du, a_.to(dtype), /*accumulate=*/true);
  } else {
    for (const Pair& pair : pairs_) {
      const at::Tensor own = du.narrow(1, pair.first, pair.rank);
      const at::Tensor scratch = Scratch(x);
      Drop(scratch, x, call, pair);
      a.push_back(MatMulToFloat(own.t(), scratch));
      if (!dx.defined()) continue;
      MatMul(scratch, own, Plain(pair.a, dtype));
      Drop(dx, scratch, call, pair, /*accumulate=*/true);
    }
  }
  std::vector<std::vector<at::Tensor>> gradients;
  for (size_t i = 0; i < pairs_.size(); ++i) {
    gradients.push_back({a[i], b[i]});
    if (!pairs_[i].bias.defined()) continue;
    const at::Tensor slice = dy.narrow(1, pairs_[i].begin, pairs_[i].rows);
    gradients[i].push_back(slice.sum(0, /*keepdim=*/false, at::kFloat).mul_(pairs_[i].scale));
  }
  return gradients;
}

void LowRank::Drop(const at::Tensor& out, const at::Tensor& x, const DropoutCall& call,
                   const Pair& pair, bool accumulate) const {
  kernels::Dropout(out, x, Mask(call, pair), *call.places, accumulate);
}

const at::Tensor& LowRank::Norms(const std::function<at::Tensor()>& compute) const {
  if (!norms_.defined()) norms_ = compute();
  return norms_;
}

std::vector<at::Tensor> LowRank::Trainable(const Pair& pair) {
  std::vector<at::Tensor> tensors;
  for (const at::Tensor& tensor : {pair.a, pair.b, pair.bias, pair.magnitude}) {
    if (tensor.defined()) tensors.push_back(tensor);
  }
  return tensors;
}

void LowRank::AppendTo(NamedTensors* named) const {
  for (const Pair& pair : pairs_) {
    named->emplace_back(LoraTensorName(pair.name, "lora_A.weight"), pair.a);
    named->emplace_back(LoraTensorName(pair.name, "lora_B.weight"), pair.b);
    if (pair.bias.defined()) {
      named->emplace_back(LoraTensorName(pair.name, "lora_B.bias"), pair.bias);
    }
    if (pair.magnitude.defined()) {
      named->emplace_back(LoraTensorName(pair.name, kMagnitude), pair.magnitude);
    }
  }
}

}  // namespace attune::engine
