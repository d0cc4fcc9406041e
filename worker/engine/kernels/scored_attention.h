#pragma once

// Attention by ATen's operations, which have the scores of one example at a time: what no loops of
// ours and no fused attention take, among it queries and keys of different rows and biases by
// distance.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "worker/engine/kernels/attention.h"

namespace attune::engine::kernels {

struct AttentionRows {
  at::Tensor queries;        // [Tq, heads * dim]; all may be views
  at::Tensor keys, values;   // [Tk, kv_heads * dim]
  at::Tensor distance_bias;  // see Attention; may be undefined
};
// Which rows of either are one example's.
struct AttentionOffsets {
  const std::vector<int64_t>&queries, &keys;
};

Attended ScoredAttention(const AttentionRows& rows, const AttentionOffsets& offsets,
                         const AttentionShape& shape);
// Overwrites the gradients, but adds to that by the bias, which may be undefined.
void ScoredAttentionBackward(const at::Tensor& dout, const AttentionRows& rows,
                             const Attended& forward, const AttentionOffsets& offsets,
                             const AttentionShape& shape, const AttentionRows& gradient);

}  // namespace attune::engine::kernels
