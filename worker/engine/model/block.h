#pragma once

// One layer of a model: attention and an MLP, each added to what comes in, put together out of
// parts as the configuration says.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/model/tensors.h"
#include "worker/engine/adapters/projection.h"
#include "worker/engine/parts/linear.h"
#include "worker/engine/parts/self_attention.h"

namespace attune::engine {

class Block {
 public:
  // Uninitialised weights of this type and device, frozen; the norms are float32 in any case.
  // nf4: see Projection.
  Block(const ModelConfig& config, int64_t index, const at::TensorOptions& weights, bool nf4);

  // x [T, H] -> [T, H]. The block must outlive the graph.
  at::Tensor Forward(const at::Tensor& x, const SharedContext& context) const;
  // x: the next rows of sequences, whose keys and values it appends to their caches: those of the
  // context's span e go to caches[e]. No gradient.
  at::Tensor Extend(const at::Tensor& x, const SharedContext& context,
                    std::span<const FilledCache> caches) const;

  void TrainBase(bool trains);
  // Weights and biases, in the order of a checkpoint of transformers.
  void AppendTo(NamedTensors* named) const;
  void AppendTo(Slots* slots);

  // Of attention's own projections, and the MLP's, in the order of ProjectionKind.
  std::vector<Projection*> projections();
  std::vector<const Projection*> projections() const;
  // See SelfAttention and LayerCache.
  const at::Tensor& distance_table() const { return attention_.distance_table(); }
  at::Tensor SourceKeyValue(const SharedContext& context) const;

 private:
  // What a half's first projection makes of its input.
  at::Tensor Into(ProjectionKind kind, const at::Tensor& x, const Norm& norm,
                  const SharedContext& context) const;
  at::Tensor Compute(const at::Tensor& x, const SharedContext& context) const;
  at::Tensor AddAttention(const at::Tensor& x, const at::Tensor& attended,
                          const SharedContext& context) const;
  // key_value: of the source's rows.
  at::Tensor AddCrossAttention(const at::Tensor& x, const at::Tensor& key_value,
                               const SharedContext& context) const;
  // Of a row of each sequence, to its own source.
  at::Tensor AddCachedCross(const at::Tensor& x, std::span<const FilledCache> caches,
                            const SharedContext& context) const;
  at::Tensor AddMlp(const at::Tensor& x, const SharedContext& context) const;
  std::vector<at::Tensor> Trainable() const;
  std::vector<Norm*> norms();
  std::vector<const Norm*> norms() const;
  PlacedProjection Placed(ProjectionKind kind, const SharedContext& context) const;

  int64_t index_;          // in its stack
  uint32_t first_module_;  // see PlacedProjection
  bool gated_, post_norm_;
  Activation activation_;
  Projection qkv_, attention_out_, mlp_in_, mlp_out_;
  Projection cross_query_, cross_key_value_, cross_out_;  // of a decoder that has an encoder
  SelfAttention attention_;
  kernels::AttentionShape cross_shape_;
  Norm cross_norm_;
  Norm attention_norm_, mlp_norm_;  // before each half, or behind the sum with it (post_norm_)
  Norm attention_after_norm_, mlp_after_norm_;  // of its output; may be none
};

}  // namespace attune::engine
