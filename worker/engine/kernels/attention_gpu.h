#pragma once

// attention.h through the fused attentions of ATen, where one takes the tensors.

#include "worker/engine/kernels/attention.h"

namespace attune::engine::kernels::gpu {

// Flash attention (Dao, 2023) for bfloat16, memory-efficient attention (Rabe and Staats, 2021;
// float32 products as three of TF32) for float32 and for heads too wide for flash. Neither when the
// heads' dimension is no multiple of their vectors, where a window hides something or scores are
// capped or see what comes after, nor for bfloat16 below compute capability 8,
// for which ATen has no such kernels.
enum class FusedAttention { kNone, kFlash, kEfficient };
FusedAttention FusedFor(const at::Tensor& qkv, const ExampleSpans& spans,
                        const AttentionShape& shape);

Attended Attention(FusedAttention kind, const at::Tensor& qkv, const ExampleSpans& spans,
                   const AttentionShape& shape);
at::Tensor AttentionBackward(FusedAttention kind, const at::Tensor& dout, const at::Tensor& qkv,
                             const Attended& forward, const ExampleSpans& spans,
                             const AttentionShape& shape);

}  // namespace attune::engine::kernels::gpu
