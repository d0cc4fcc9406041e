#pragma once

// What a LoRA adapter adds to a projection: A and B of those of its parts that have them. Without
// autograd, as the projection.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

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
    at::Tensor a, b;  // float32 [rank, in], [rows, rank]
  };

  // A and B uninitialised; pairs without tensors, in the order of the parts, each behind the last.
  LowRank(std::vector<Pair> pairs, int64_t in, double dropout, const at::TensorOptions& options);

  void SetDropout(double dropout) { dropout_ = dropout; }
  const std::vector<Pair>& pairs() const { return pairs_; }

  // out += scale * drop(x) A^T B^T. Returns scale * drop(x) A^T, [T, all ranks], for Backward.
  at::Tensor Forward(const at::Tensor& x, const DropoutCall& call, const at::Tensor& out) const;
  // dx (may be undefined) += the gradient by x. Returns those by each pair's Trainable().
  std::vector<std::vector<at::Tensor>> Backward(const at::Tensor& dy, const at::Tensor& x,
                                                const DropoutCall& call, const at::Tensor& scaled,
                                                const at::Tensor& dx) const;

  static std::vector<at::Tensor> Trainable(const Pair& pair) { return {pair.a, pair.b}; }
  // Under their names in an adapter's file.
  void AppendTo(NamedTensors* named) const;

 private:
  bool Drops(const DropoutCall& call) const { return dropout_ > 0 && call.places != nullptr; }
  kernels::DropoutMask Mask(const DropoutCall& call, const Pair& pair) const;

  std::vector<Pair> pairs_;
  at::Tensor a_;  // [all ranks, in], of which each A is a slice
  double dropout_ = 0;
};

}  // namespace attune::engine
