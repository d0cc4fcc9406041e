#pragma once

// Attention within each example of a packed batch, with grouped key-value heads; no autograd. The
// scores never exist as a whole, but where neither our loops nor a fused attention
// (attention_gpu.h) take them, where they are one example's (scored_attention.h).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "worker/engine/kernels/attention_shape.h"

namespace attune::engine::kernels {

struct Attended {
  at::Tensor out;        // [T, heads * dim]
  at::Tensor logsumexp;  // float32, of the scaled scores; what backward needs
};

// Which rows are one example.
struct ExampleSpans {
  ExampleSpans() = default;
  // See PackedBatch. Where the rows are on a GPU, so is `cumulative`.
  ExampleSpans(std::vector<int64_t> offsets, const at::Device& where = at::kCPU);
  std::vector<int64_t> offsets;
  at::Tensor cumulative;  // int32: the offsets, for fused attention; undefined on the CPU
  int64_t longest = 0;
};

// distance_bias: of scores, float32 [heads, 2 N - 1], with N at least the longest example's length:
// element N - 1 + i is for keys i places after their query. Undefined: there is none.
Attended Attention(const at::Tensor& qkv, const ExampleSpans& spans, const AttentionShape& shape,
                   const at::Tensor& distance_bias = {});
// The gradient by qkv, in its layout. That by the bias is added to bias_gradient, if it is defined.
at::Tensor AttentionBackward(const at::Tensor& dout, const at::Tensor& qkv, const Attended& forward,
                             const ExampleSpans& spans, const AttentionShape& shape,
                             const at::Tensor& distance_bias = {},
                             const at::Tensor& bias_gradient = {});

// Of queries [T, heads * dim] to the keys and values of other rows, [S, 2 * kv_heads * dim]; an
// example sees all rows of its source. The shape is of no mask.
Attended CrossAttention(const at::Tensor& queries, const at::Tensor& key_value,
                        const ExampleSpans& spans, const ExampleSpans& source_spans,
                        const AttentionShape& shape);
// The gradients by queries and by keys and values.
std::pair<at::Tensor, at::Tensor> CrossAttentionBackward(
    const at::Tensor& dout, const at::Tensor& queries, const at::Tensor& key_value,
    const Attended& forward, const ExampleSpans& spans, const ExampleSpans& source_spans,
    const AttentionShape& shape);

}  // namespace attune::engine::kernels
