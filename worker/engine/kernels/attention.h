#pragma once

// Causal attention within each example of a packed batch, with grouped key-value heads; no
// autograd. The scores never exist as a whole.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "worker/engine/kernels/attention_shape.h"

namespace attune::engine::kernels {

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
