#pragma once

// Causal attention within each example of a packed batch, with grouped key-value heads; no
// autograd. The scores never exist as a whole.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace attune::engine::kernels {

// Rows of qkv are [heads * dim | kv_heads * dim | kv_heads * dim]: queries, keys, values.
struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, dim = 0;
  int64_t row_size() const { return (heads + 2 * kv_heads) * dim; }
};

struct Attended {
  at::Tensor out;        // [T, heads * dim]
  at::Tensor logsumexp;  // float32 [heads, T], of the scaled scores; what backward needs
};

// offsets: see PackedBatch.
Attended Attention(const at::Tensor& qkv, const std::vector<int64_t>& offsets,
                   const AttentionShape& shape);
// The gradient by qkv, in its layout.
at::Tensor AttentionBackward(const at::Tensor& dout, const at::Tensor& qkv, const Attended& forward,
                             const std::vector<int64_t>& offsets, const AttentionShape& shape);

}  // namespace attune::engine::kernels
