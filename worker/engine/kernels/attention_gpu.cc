#include "worker/engine/kernels/attention_gpu.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include "worker/engine/kernels/gpu_kernels.h"

namespace attune::engine::kernels::gpu {
namespace {

constexpr int64_t kFlashDimMost = 256;
constexpr int64_t kCausal = 1;  // custom_mask_type: from the top left

// Without it flash attention's backward adds to the queries' gradient in any order, and a step that
// is run again gives other bits.
class FixedOrder {
 public:
  FixedOrder() { Set(true, false); }
  ~FixedOrder() { Set(order_, fill_); }
  FixedOrder(const FixedOrder&) = delete;
  FixedOrder& operator=(const FixedOrder&) = delete;

 private:
  static void Set(bool order, bool fill) {
    at::globalContext().setDeterministicAlgorithms(order, /*warn_only=*/false);
    at::globalContext().setDeterministicFillUninitializedMemory(fill);
  }
  const bool order_ = at::globalContext().deterministicAlgorithms();
  const bool fill_ = at::globalContext().deterministicFillUninitializedMemory();
};

// [T, heads, dim] views.
struct Heads {
  at::Tensor q, k, v;
};
Heads Split(const at::Tensor& qkv, const AttentionShape& shape) {
  const at::Tensor heads = qkv.view({qkv.size(0), -1, shape.dim});
  return {heads.narrow(1, 0, shape.heads), heads.narrow(1, shape.heads, shape.kv_heads),
          heads.narrow(1, shape.heads + shape.kv_heads, shape.kv_heads)};
}

// Efficient attention takes a head of keys for each of queries, and a batch of one.
Heads Spread(const Heads& heads, const AttentionShape& shape) {
  auto spread = [&](const at::Tensor& x) {
    const int64_t groups = shape.heads / shape.kv_heads;
    return (groups == 1 ? x : x.repeat_interleave(groups, 1)).unsqueeze(0);
  };
  return {heads.q.unsqueeze(0), spread(heads.k), spread(heads.v)};
}
at::Tensor SumGroups(const at::Tensor& x, const AttentionShape& shape) {
  return x.view({x.size(1), shape.kv_heads, -1, shape.dim}).sum(2);
}

}  // namespace

FusedAttention FusedFor(const at::Tensor& qkv, const ExampleSpans& spans,
                        const AttentionShape& shape) {
  const bool plain = shape.causal && shape.softcap == 0 && !shape.Windowed(spans.longest);
  if (!plain || !qkv.is_cuda() || UseAtenOnly() || Gpu() == nullptr) return FusedAttention::kNone;
  if (qkv.scalar_type() != at::kBFloat16) {
    return shape.dim % 4 == 0 ? FusedAttention::kEfficient : FusedAttention::kNone;
  }
  if (shape.dim % 8 != 0 || Gpu()->generation(qkv.device().index()) < 8) {
    return FusedAttention::kNone;
  }
  return shape.dim <= kFlashDimMost ? FusedAttention::kFlash : FusedAttention::kEfficient;
}

Attended Attention(FusedAttention kind, const at::Tensor& qkv, const ExampleSpans& spans,
                   const AttentionShape& shape) {
  const Heads heads = Split(qkv, shape);
  at::Tensor out, logsumexp;
  if (kind == FusedAttention::kFlash) {
    auto result = at::_flash_attention_forward(
        heads.q, heads.k, heads.v, spans.cumulative, spans.cumulative, spans.longest, spans.longest,
        /*dropout_p=*/0, /*is_causal=*/true, /*return_debug_mask=*/false, shape.Scale(),
        /*window_size_left=*/std::nullopt, /*window_size_right=*/std::nullopt);
    out = std::get<0>(result);
    logsumexp = std::get<1>(result);
  } else {
    const Heads spread = Spread(heads, shape);
    auto result = at::_efficient_attention_forward(
        spread.q, spread.k, spread.v, /*bias=*/{}, spans.cumulative, spans.cumulative,
        spans.longest, spans.longest, /*dropout_p=*/0, kCausal, /*compute_log_sumexp=*/true,
        shape.Scale());
    out = std::get<0>(result);
    logsumexp = std::get<1>(result);
  }
  return {out.reshape({qkv.size(0), shape.heads * shape.dim}), logsumexp};
}

at::Tensor AttentionBackward(FusedAttention kind, const at::Tensor& dout, const at::Tensor& qkv,
                             const Attended& forward, const ExampleSpans& spans,
                             const AttentionShape& shape) {
  const Heads heads = Split(qkv, shape);
  const at::Tensor d = dout.view({qkv.size(0), shape.heads, shape.dim});
  const at::Tensor out = forward.out.view(d.sizes());
  // Of dropout, which there is not.
  const at::Tensor no_state = at::zeros({2}, qkv.options().dtype(at::kLong));
  at::Tensor dq, dk, dv;
  if (kind == FusedAttention::kFlash) {
    const FixedOrder fixed_order;
    std::tie(dq, dk, dv) = at::_flash_attention_backward(
        d, heads.q, heads.k, heads.v, out, forward.logsumexp, spans.cumulative, spans.cumulative,
        spans.longest, spans.longest, /*dropout_p=*/0, /*is_causal=*/true, no_state, no_state,
        shape.Scale(), /*window_size_left=*/std::nullopt, /*window_size_right=*/std::nullopt);
  } else {
    const Heads spread = Spread(heads, shape);
    const at::Tensor zero = at::zeros({}, at::kLong);
    auto result = at::_efficient_attention_backward(
        d.unsqueeze(0), spread.q, spread.k, spread.v, /*bias=*/{}, out.unsqueeze(0),
        spans.cumulative, spans.cumulative, spans.longest, spans.longest, forward.logsumexp,
        /*dropout_p=*/0, zero, zero, kCausal, /*bias_requires_grad=*/false, shape.Scale(),
        /*num_splits_key=*/1);  // more would add in any order
    dq = std::get<0>(result).squeeze(0);
    dk = SumGroups(std::get<1>(result), shape);
    dv = SumGroups(std::get<2>(result), shape);
  }
  return at::cat({dq, dk, dv}, 1).view(qkv.sizes());
}

}  // namespace attune::engine::kernels::gpu
