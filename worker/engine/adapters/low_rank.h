#pragma once

// What a LoRA adapter adds to a projection: A and B of those of its parts that have them. Without
// autograd, as the projection.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/model/lora_config.h"
#include "worker/engine/adapters/named_tensors.h"
#include "worker/engine/kernels/pointwise.h"

namespace attune::engine {

// What LoRA's dropout follows from. Backward gets the same as forward.
struct DropoutCall {
  const kernels::RowPlaces* places = nullptr;  // of x's rows; null: nothing is dropped
  uint64_t seed = 0;                           // of the step
  uint32_t module = 0;                         // of the first part; the next ones count up
};

class LowRank {
 public:
  struct Pair {
    std::string name;  // of the part: "model.layers.0.self_attn.q_proj"
    size_t part = 0;
    int64_t begin = 0, rows = 0;  // of the projection's output
    int64_t first = 0, rank = 0;  // of the rows of all A
    double scale = 0;
    // float32 [rank, in], [rows, rank]; bias of B and DoRA's magnitude [rows], which may be
    // undefined.
    at::Tensor a, b, bias, magnitude;
  };

  // Uninitialised; pairs without tensors, in the order of the parts, each behind the last.
  LowRank(std::vector<Pair> pairs, int64_t in, const LoraConfig& config,
          const at::TensorOptions& options);

  void SetDropout(double dropout) { dropout_ = dropout; }
  const std::vector<Pair>& pairs() const { return pairs_; }

  // out += scale * (drop(x) A^T B^T + bias). Returns scale * drop(x) A^T, [T, all ranks], for
  // Backward.
  at::Tensor Forward(const at::Tensor& x, const DropoutCall& call, const at::Tensor& out) const;
  // dx (may be undefined) += the gradient by x. Returns those by each pair's Trainable()
  // but for its magnitude.
  std::vector<std::vector<at::Tensor>> Backward(const at::Tensor& dy, const at::Tensor& x,
                                                const DropoutCall& call, const at::Tensor& scaled,
                                                const at::Tensor& dx) const;

  static std::vector<at::Tensor> Trainable(const Pair& pair);
  // Under their names in an adapter's file.
  void AppendTo(NamedTensors* named) const;

  bool Drops(const DropoutCall& call) const { return dropout_ > 0 && call.places != nullptr; }
  // out = what a pair sees of x, or out += its gradient.
  void Drop(const at::Tensor& out, const at::Tensor& x, const DropoutCall& call, const Pair& pair,
            bool accumulate = false) const;

  // DoRA: whether magnitudes scale the sum of base and product. The norms of the sums' rows, [out]
  // of the projection with 1 where there is no pair, are kept from the first call to Forget.
  bool scales() const { return pairs_[0].magnitude.defined(); }
  const at::Tensor& Norms(const std::function<at::Tensor()>& compute) const;
  void Forget() { norms_.reset(); }

 private:
  kernels::DropoutMask Mask(const DropoutCall& call, const Pair& pair) const;

  std::vector<Pair> pairs_;
  at::Tensor a_;  // [all ranks, in], of which each A is a slice
  double dropout_ = 0;
  mutable at::Tensor norms_;
};

}  // namespace attune::engine
