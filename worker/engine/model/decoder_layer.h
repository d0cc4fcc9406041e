#pragma once

// One Llama decoder layer as one autograd node: the node keeps what backward needs and nothing else
// (the norms' and the activation's outputs are made again), and gives the gradients of all the
// layer's parameters at once.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/model/llama_config.h"
#include "worker/engine/adapters/projection.h"
#include "worker/engine/kernels/attention.h"

namespace attune::engine {

// What the layers of one forward share.
struct ForwardContext {
  at::Tensor cos, sin;  // float32 [T, head_dim / 2]
  kernels::ExampleSpans spans;
  std::optional<kernels::RowPlaces> places;  // of the rows, for dropout; unset: none is dropped
  uint64_t seed = 0;                         // of dropout, for this step
  bool checkpoint = false;  // keep the layer's input only; backward runs forward again
};

// Keys and values of one sequence, for generation. capacity rows are allocated; the first `length`
// hold tokens.
struct LayerCache {
  at::Tensor keys, values;  // [capacity, kv_heads * head_dim]
};

class DecoderLayer {
 public:
  // Uninitialised weights of this type and device, frozen; the norms are float32 in any case.
  DecoderLayer(const LlamaConfig& config, int64_t index, const at::TensorOptions& weights);

  // x [T, H] -> [T, H]; recorded for autograd when grad mode is on and something here or in x
  // trains. The layer must outlive the graph.
  at::Tensor Forward(const at::Tensor& x,
                     const std::shared_ptr<const ForwardContext>& context) const;
  // x: rows `length` .. of one sequence, whose keys and values it appends to the cache. No
  // gradient.
  at::Tensor Extend(const at::Tensor& x, const ForwardContext& context, const LayerCache& cache,
                    int64_t length) const;

  void TrainBase(bool trains);

  std::vector<Projection*> projections() { return {&qkv_, &o_, &gate_up_, &down_}; }
  std::vector<const Projection*> projections() const { return {&qkv_, &o_, &gate_up_, &down_}; }
  const at::Tensor& input_norm() const { return input_norm_; }
  const at::Tensor& post_norm() const { return post_norm_; }

 private:
  friend struct LayerNode;
  struct Activations {
    at::Tensor x, input_rstd, qkv, middle, post_rstd, gate_up;
    kernels::Attended attended;
    at::Tensor projected[4];  // what the projections keep
  };
  at::Tensor Compute(const at::Tensor& x, const ForwardContext& context, Activations* keep) const;
  at::Tensor Mlp(const at::Tensor& middle, const ForwardContext& context, Activations* keep) const;
  // The gradient by x (undefined unless wanted), and those of Trainable() in that order.
  at::Tensor Backward(const at::Tensor& dy, const Activations& kept, const ForwardContext& context,
                      bool want_dx, std::vector<at::Tensor>& gradients) const;
  std::vector<at::Tensor> Trainable() const;
  Projection::Call Call(const ForwardContext& context, uint32_t projection) const;

  int64_t index_;
  double eps_;
  kernels::AttentionShape shape_;
  Projection qkv_, o_, gate_up_, down_;
  at::Tensor input_norm_, post_norm_;  // float32 [H]
};

}  // namespace attune::engine
