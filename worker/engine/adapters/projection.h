#pragma once

// Linear layers that share their input, as one matrix product, with or without what an adapter adds
// or has in place of their weights. The layers keep their own names and parameters, which are
// slices of common storage. Forward and backward without autograd: the parts of a model are
// autograd's nodes and call these (parts/linear.h).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/model/lora_config.h"
#include "common/model/tensors.h"
#include "worker/engine/adapters/low_rank.h"
#include "worker/engine/adapters/named_tensors.h"
#include "worker/engine/adapters/slot.h"
#include "worker/engine/kernels/nf4.h"

namespace attune::engine {

class Projection {
 public:
  struct Part {
    std::string name;  // "model.layers.0.self_attn.q_proj"
    int64_t begin = 0, rows = 0;
    at::Tensor weight, bias;  // slices of the common ones, as checkpoints have them; bias may be
                              // undefined
    at::Tensor own_weight, own_bias;  // of an adapter, in their place; may be undefined
  };
  static constexpr uint32_t kPartsMost = 4;

  // What Backward wants of Forward.
  struct Kept {
    at::Tensor scaled;   // see LowRank::Forward
    at::Tensor product;  // [T, out]; of DoRA: what magnitudes scale
  };

  Projection() = default;
  // Uninitialised weights of this type and device, of layers with the same input. transposed: the
  // parameter is [in, out], as GPT-2's Conv1D stores it; then there is one layer. nf4: without
  // weights, until Allocate.
  Projection(const std::vector<LinearInfo>& linears, bool transposed,
             const at::TensorOptions& weights, bool nf4 = false);

  // For weights that are to be kept in 4 bits: makes room for them in the type that was asked for,
  // and once they are read there, keeps them as kernels::Nf4 in its place.
  void Allocate();
  void Quantize();

  // Whether the base trains (every weight and bias of it) or is frozen, as at first.
  void TrainBase(bool trains);
  // A and B for those of config.modules that are here; null when none is.
  std::shared_ptr<LowRank> MakeLowRank(const LoraConfig& config) const;
  // With B zero, DoRA's magnitudes are the norms of the base's rows.
  void StartMagnitudes(const LowRank& low_rank) const;
  // What it adds from now on; null: nothing.
  void See(std::shared_ptr<const LowRank> low_rank) { low_rank_ = std::move(low_rank); }
  // Of own weights and biases. In 4 bits weights have no value.
  void AppendTo(Slots* slots);
  // Frozen weights are kept in this type from now on.
  void StoreFrozenAs(at::ScalarType dtype);

  // x [T, in] -> residual + x W^T + bias + scale * drop(x) A^T B^T, [T, out]; residual may be
  // undefined. With DoRA drop(x) W^T + scale * drop(x) A^T B^T is times magnitude / norm. keep may
  // be null.
  at::Tensor Forward(const at::Tensor& x, const at::Tensor& residual, const DropoutCall& call,
                     Kept* keep) const;
  // Returns the gradient by x, undefined unless wanted. Appends one gradient for each of
  // Trainable().
  at::Tensor Backward(const at::Tensor& dy, const at::Tensor& x, const DropoutCall& call,
                      const Kept& kept, bool want_dx, std::vector<at::Tensor>& gradients) const;

  // In a fixed order: of each part its weight and bias, where they train, and its A and B.
  std::vector<at::Tensor> Trainable() const;

  // Weights and biases of the base under their names in checkpoints.
  void AppendTo(NamedTensors* named) const;

  const std::vector<Part>& parts() const { return parts_; }

 private:
  bool has_own_weights() const;
  // [out, in] in this type: what is kept, or made of 4 bits.
  at::Tensor Dense(at::ScalarType dtype) const;
  // The same of one part, which may have its own; [rows, in].
  at::Tensor Dense(const Part& part, at::ScalarType dtype) const;
  // [out] in this type, undefined without one.
  at::Tensor Bias(at::ScalarType dtype) const;
  // out = x W^T, or out += x W^T; dx = dy W.
  void Multiply(const at::Tensor& out, const at::Tensor& x, bool accumulate) const;
  at::Tensor MultiplyBack(const at::Tensor& dy) const;
  // Of the rows of W + scale B A, [out].
  at::Tensor Norms(const LowRank& low_rank) const;
  // magnitude / norm, [out]
  at::Tensor Factors() const;
  void AddScaled(const at::Tensor& out, const at::Tensor& x, const DropoutCall& call,
                 Kept& kept) const;
  // Returns the gradient by x; gradients by A, B and magnitudes as LowRank's.
  at::Tensor ScaledBackward(const at::Tensor& dy, const at::Tensor& x, const DropoutCall& call,
                            const Kept& kept, bool want_dx,
                            std::vector<std::vector<at::Tensor>>& pairs) const;
  // Cuts the parameters of the parts out of the common ones.
  void Slice();

  int64_t out_ = 0, in_ = 0;
  at::TensorOptions options_;
  at::Tensor weight_;  // [out, in]; a view of [in, out] when transposed; undefined in 4 bits
  std::vector<kernels::Nf4> nf4_;  // in place of weight_: of each part [rows, in]
  at::Tensor bias_;                // [out] or undefined
  std::vector<Part> parts_;
  std::shared_ptr<const LowRank> low_rank_;
  bool train_base_ = false, transposed_ = false;
};

}  // namespace attune::engine
