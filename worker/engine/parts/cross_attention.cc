#include "worker/engine/parts/cross_attention.h"

#include <ATen/ATen.h>

#include "worker/engine/parts/record.h"

namespace attune::engine {

kernels::AttentionShape CrossAttentionShape(const ModelConfig& config) {
  return {.heads = config.heads,
          .kv_heads = config.kv_heads,
          .dim = config.head_dim,
          .scale = config.attention_scale,
          .causal = false};
}

at::Tensor CrossAttention(const at::Tensor& queries, const at::Tensor& key_value,
                          const SharedContext& context, const kernels::AttentionShape& shape) {
  const at::Tensor q = queries.detach(), kv = key_value.detach();
  kernels::Attended attended;
  {
    at::NoGradGuard no_grad;
    attended = kernels::CrossAttention(q, kv, context->spans, context->source->spans, shape);
  }
  const at::Tensor out = attended.out;
  if (!Records({queries, key_value})) return out;
  attended.out = out.detach();  // the same memory, without the node that holds it
  Record(
      "CrossAttention", out, {queries, key_value},
      [q, kv, context, attended, shape](const at::Tensor& dy, const std::function<bool(size_t)>&) {
        auto [by_queries, by_key_value] = kernels::CrossAttentionBackward(
            dy, q, kv, attended, context->spans, context->source->spans, shape);
        return Tensors{by_queries, by_key_value};
      });
  return out;
}

}  // namespace attune::engine
