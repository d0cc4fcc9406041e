#pragma once

// Linear layers that share their input, as one matrix product, with or without LoRA. The layers
// keep their own names and parameters, which are slices of common storage. Forward and backward
// without autograd: the parts of a model are autograd's nodes and call these (parts/linear.h).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/model/lora_config.h"
#include "common/model/tensors.h"
#include "worker/engine/adapters/named_tensors.h"
#include "worker/engine/kernels/nf4.h"
#include "worker/engine/kernels/pointwise.h"

namespace attune::engine {

class Projection {
 public:
  struct Part {
    std::string name;  // "model.layers.0.self_attn.q_proj"
    int64_t begin = 0, rows = 0;
    at::Tensor weight, bias;    // slices of the common ones, as checkpoints have them; bias may be
                                // undefined
    at::Tensor lora_a, lora_b;  // float32 [rank, in], [rows, rank]; undefined without an adapter
  };
  static constexpr uint32_t kPartsMost = 4;

  // What LoRA's dropout follows from. Backward gets the same as forward.
  struct Call {
    const kernels::RowPlaces* places = nullptr;  // of x's rows; null: nothing is dropped
    uint64_t seed = 0;                           // of the step
    uint32_t module = 0;                         // of the first part; the next ones count up
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
  // Adds A and B, uninitialised, to those of config.modules that are here.
  void AddLora(const LoraConfig& config);
  void SetDropout(double dropout) { dropout_ = dropout; }
  // Whether forward and backward see A and B.
  void EnableLora(bool enabled) { lora_enabled_ = enabled; }
  // Frozen weights are kept in this type from now on.
  void StoreFrozenAs(at::ScalarType dtype);

  // x [T, in] -> residual + x W^T + bias + scale * drop(x) A^T B^T, [T, out]; residual may be
  // undefined. keep (may be null) receives what Backward wants as `kept`.
  at::Tensor Forward(const at::Tensor& x, const at::Tensor& residual, const Call& call,
                     at::Tensor* keep) const;
  // Returns the gradient by x, undefined unless wanted. Appends one gradient for each of
  // Trainable().
  at::Tensor Backward(const at::Tensor& dy, const at::Tensor& x, const Call& call,
                      const at::Tensor& kept, bool want_dx,
                      std::vector<at::Tensor>& gradients) const;

  // In a fixed order: of each part its weight and bias, or its A and B.
  std::vector<at::Tensor> Trainable() const;

  // Weights and biases of the base under their names in checkpoints.
  void AppendTo(NamedTensors* named) const;

  const std::vector<Part>& parts() const { return parts_; }

 private:
  bool Drops(const Call& call) const { return dropout_ > 0 && call.places != nullptr; }
  // [out, in] in this type: what is kept, or made of 4 bits.
  at::Tensor Dense(at::ScalarType dtype) const;
  // Cuts the parameters of the parts out of the common ones.
  void Slice();
  kernels::DropoutMask Mask(const Call& call, size_t part) const;
  // Returns scale * drop(x) A^T, [T, adapted parts * rank].
  at::Tensor LoraForward(const at::Tensor& x, const Call& call, const at::Tensor& out) const;
  void LoraBackward(const at::Tensor& dy, const at::Tensor& x, const Call& call,
                    const at::Tensor& scaled, const at::Tensor& dx, std::vector<at::Tensor>& a,
                    std::vector<at::Tensor>& b) const;

  int64_t out_ = 0, in_ = 0;
  at::TensorOptions options_;
  at::Tensor weight_;  // [out, in]; a view of [in, out] when transposed; undefined in 4 bits
  std::vector<kernels::Nf4> nf4_;  // in place of weight_: of each part [rows, in]
  at::Tensor bias_;                // [out] or undefined
  at::Tensor lora_a_;              // [adapted parts * rank, in]
  std::vector<Part> parts_;
  std::vector<size_t> adapted_;  // indices of parts with an adapter
  int64_t rank_ = 0;
  double scale_ = 0, dropout_ = 0;
  bool train_base_ = false, transposed_ = false, lora_enabled_ = true;
};

}  // namespace attune::engine
