#pragma once

// Attention within each example of a packed batch, with grouped key-value heads; no autograd. The
// scores never exist as a whole, but on a GPU where no fused attention takes them
// (attention_gpu.h), where they are one example's.

#include <ATen/core/Tensor.h>

#include <cstdint>
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

Attended Attention(const at::Tensor& qkv, const ExampleSpans& spans, const AttentionShape& shape);
// The gradient by qkv, in its layout.
at::Tensor AttentionBackward(const at::Tensor& dout, const at::Tensor& qkv, const Attended& forward,
                             const ExampleSpans& spans, const AttentionShape& shape);

}  // namespace attune::engine::kernels
