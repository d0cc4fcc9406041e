#include "worker/engine/kernels/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "worker/engine/kernels/attention_cpu.h"
#include "worker/engine/kernels/attention_gpu.h"
#include "worker/engine/kernels/cpu_kernels.h"
#include "worker/engine/kernels/scored_attention.h"

namespace attune::engine::kernels {
namespace {

// Queries, keys and values out of rows of all three, as views.
AttentionRows Split(const at::Tensor& qkv, const AttentionShape& shape) {
  const int64_t q_size = shape.heads * shape.dim, kv_size = shape.kv_heads * shape.dim;
  return {qkv.narrow(1, 0, q_size), qkv.narrow(1, q_size, kv_size),
          qkv.narrow(1, q_size + kv_size, kv_size), at::Tensor()};
}

AttentionRows SplitKeyValue(const at::Tensor& queries, const at::Tensor& key_value) {
  const int64_t size = key_value.size(1) / 2;
  return {queries, key_value.narrow(1, 0, size), key_value.narrow(1, size, size), at::Tensor()};
}

at::Tensor Wide(const at::Tensor& x) {
  return x.to(at::kFloat).contiguous();
}

bool UseLoops(const at::Tensor& x) {
  return x.device().is_cpu() && !UseAtenOnly();
}

// Our loops, in float32 whatever the type.
Attended OnCpu(const at::Tensor& qkv, const std::vector<int64_t>& offsets,
               const AttentionShape& shape) {
  const at::Tensor wide = Wide(qkv);
  const at::Tensor out = at::empty({qkv.size(0), shape.heads * shape.dim}, wide.options());
  at::Tensor logsumexp = at::empty({shape.heads, qkv.size(0)}, wide.options());
  AttentionCpu(wide.const_data_ptr<float>(), offsets, shape, out.mutable_data_ptr<float>(),
               logsumexp.mutable_data_ptr<float>());
  return {out.to(qkv.scalar_type()), std::move(logsumexp)};
}

at::Tensor OnCpuBackward(const at::Tensor& dout, const at::Tensor& qkv, const Attended& forward,
                         const std::vector<int64_t>& offsets, const AttentionShape& shape) {
  const at::Tensor wide_dout = Wide(dout), wide_qkv = Wide(qkv), wide_out = Wide(forward.out);
  const at::Tensor gradient = at::empty_like(wide_qkv);
  AttentionCpuBackward(wide_dout.const_data_ptr<float>(), wide_qkv.const_data_ptr<float>(),
                       wide_out.const_data_ptr<float>(), forward.logsumexp.const_data_ptr<float>(),
                       offsets, shape, gradient.mutable_data_ptr<float>());
  return gradient.to(qkv.scalar_type());
}

}  // namespace

ExampleSpans::ExampleSpans(std::vector<int64_t> from, const at::Device& where)
    : offsets(std::move(from)) {
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    longest = std::max(longest, offsets[e + 1] - offsets[e]);
  }
  if (!where.is_cpu()) cumulative = at::tensor(offsets, at::kInt).to(where);
}

Attended Attention(const at::Tensor& qkv, const ExampleSpans& spans, const AttentionShape& shape,
                   const at::Tensor& distance_bias) {
  if (!distance_bias.defined()) {
    if (UseLoops(qkv)) return OnCpu(qkv, spans.offsets, shape);
    const auto fused = gpu::FusedFor(qkv, spans, shape);
    if (fused != gpu::FusedAttention::kNone) return gpu::Attention(fused, qkv, spans, shape);
  }
  AttentionRows rows = Split(qkv, shape);
  rows.distance_bias = distance_bias;
  return ScoredAttention(rows, {spans.offsets, spans.offsets}, shape);
}

at::Tensor AttentionBackward(const at::Tensor& dout, const at::Tensor& qkv, const Attended& forward,
                             const ExampleSpans& spans, const AttentionShape& shape,
                             const at::Tensor& distance_bias, const at::Tensor& bias_gradient) {
  if (!distance_bias.defined()) {
    if (UseLoops(qkv)) return OnCpuBackward(dout, qkv, forward, spans.offsets, shape);
    const auto fused = gpu::FusedFor(qkv, spans, shape);
    if (fused != gpu::FusedAttention::kNone) {
      return gpu::AttentionBackward(fused, dout, qkv, forward, spans, shape);
    }
  }
  const at::Tensor gradient = at::empty_like(qkv);
  AttentionRows rows = Split(qkv, shape), gradients = Split(gradient, shape);
  rows.distance_bias = distance_bias;
  gradients.distance_bias = bias_gradient;
  ScoredAttentionBackward(dout, rows, forward, {spans.offsets, spans.offsets}, shape, gradients);
  return gradient;
}

Attended CrossAttention(const at::Tensor& queries, const at::Tensor& key_value,
                        const ExampleSpans& spans, const ExampleSpans& source_spans,
                        const AttentionShape& shape) {
  return ScoredAttention(SplitKeyValue(queries, key_value), {spans.offsets, source_spans.offsets},
                         shape);
}

std::pair<at::Tensor, at::Tensor> CrossAttentionBackward(
    const at::Tensor& dout, const at::Tensor& queries, const at::Tensor& key_value,
    const Attended& forward, const ExampleSpans& spans, const ExampleSpans& source_spans,
    const AttentionShape& shape) {
  const at::Tensor by_queries = at::empty_like(queries), by_key_value = at::empty_like(key_value);
  ScoredAttentionBackward(dout, SplitKeyValue(queries, key_value), forward,
                          {spans.offsets, source_spans.offsets}, shape,
                          SplitKeyValue(by_queries, by_key_value));
  return {by_queries, by_key_value};
}

}  // namespace attune::engine::kernels
