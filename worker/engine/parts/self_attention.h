#pragma once

// Attention of a layer between its projections: norms of heads, rotation, and who sees whom.

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/model/model_config.h"
#include "worker/engine/kernels/attention_shape.h"
#include "worker/engine/parts/context.h"
#include "worker/engine/parts/norm.h"

namespace attune::engine {

// Keys and values of one sequence, for generation.
struct LayerCache {
  at::Tensor keys, values;  // [capacity, kv_heads * head_dim]
  // Of a decoder that attends to an encoder's rows: their keys and values.
  at::Tensor source = {};  // [S, 2 * kv_heads * head_dim]
};
// One whose first `length` rows hold tokens.
struct FilledCache {
  const LayerCache* cache;
  int64_t length;
};

class SelfAttention {
 public:
  SelfAttention(const ModelConfig& config, int64_t layer, const at::Device& device);

  // The parameters behind the context's distance_bias, which the first layer has for all; else
  // undefined.
  const at::Tensor& distance_table() const { return distance_table_; }

  // qkv: queries, keys and values of each row, see AttentionShape; they may be changed in place.
  // -> [T, heads * dim], as one node.
  at::Tensor Forward(const at::Tensor& qkv, const SharedContext& context) const;
  // qkv: the next rows of sequences, one in each of the context's spans, whose keys and values are
  // appended to their caches. All caches are empty, or every sequence grows by one row. No
  // gradient.
  at::Tensor Extend(const at::Tensor& qkv, const ForwardContext& context,
                    std::span<const FilledCache> caches) const;

  void TrainBase(bool trains);
  std::vector<at::Tensor> Trainable() const;
  void AppendTo(NamedTensors* named) const;
  void AppendTo(Slots* slots);

 private:
  struct Statistics {
    Norm::Statistics queries, keys;
  };
  // Normalised and rotated: a copy where heads have norms, else qkv itself.
  at::Tensor Prepare(const at::Tensor& qkv, const ForwardContext& context,
                     Statistics* statistics) const;
  // The gradient by raw qkv from that by prepared ones, which it may change.
  void PrepareBackward(const at::Tensor& dqkv, const at::Tensor& raw, const ForwardContext& context,
                       const Statistics& statistics, std::vector<at::Tensor>& gradients) const;
  at::Tensor OneRow(const at::Tensor& prepared, const ForwardContext& context,
                    const FilledCache& filled) const;

  kernels::AttentionShape shape_;
  std::optional<size_t> rope_;  // which of the model's
  Norm query_norm_, key_norm_;
  std::string table_name_;
  at::Tensor distance_table_;  // [buckets, heads]
};

}  // namespace attune::engine
