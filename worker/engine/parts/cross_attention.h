#pragma once

// Attention of a decoder's rows to what an encoder made of their source.

#include <ATen/core/Tensor.h>

#include "common/model/model_config.h"
#include "worker/engine/kernels/attention_shape.h"
#include "worker/engine/parts/context.h"

namespace attune::engine {

kernels::AttentionShape CrossAttentionShape(const ModelConfig& config);

// queries [T, heads * dim] of the context's rows, keys and values [S, 2 * kv_heads * dim] of its
// source's -> [T, heads * dim], as one node.
at::Tensor CrossAttention(const at::Tensor& queries, const at::Tensor& key_value,
                          const SharedContext& context, const kernels::AttentionShape& shape);

}  // namespace attune::engine
