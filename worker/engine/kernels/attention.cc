#include "worker/engine/kernels/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "worker/engine/kernels/attention_cpu.h"
#include "worker/engine/kernels/attention_gpu.h"
#include "worker/engine/kernels/cpu_kernels.h"

namespace attune::engine::kernels {
namespace {

// One example's queries, keys and values as [heads or kv_heads, length, dim] views.
struct Heads {
  at::Tensor q, k, v;
};

Heads Split(const at::Tensor& qkv, int64_t begin, int64_t length, const AttentionShape& shape) {
  const at::Tensor rows = qkv.narrow(0, begin, length);
  auto part = [&](int64_t first, int64_t heads) {
    return rows.narrow(1, first * shape.dim, heads * shape.dim)
        .view({length, heads, shape.dim})
        .transpose(0, 1);
  };
  return {part(0, shape.heads), part(shape.heads, shape.kv_heads),
          part(shape.heads + shape.kv_heads, shape.kv_heads)};
}

// [kv_heads, L, D] -> [1, heads, L, D], each head repeated for its group.
at::Tensor Repeat(const at::Tensor& x, int64_t groups) {
  if (groups == 1) return x.unsqueeze(0);
  return x.unsqueeze(1)
      .expand({x.size(0), groups, x.size(1), x.size(2)})
      .reshape({1, x.size(0) * groups, x.size(1), x.size(2)});
}

// Calls f(begin, length, heads) for each example that is not empty, its heads as [1, heads, L, D].
template <typename F>
void ForEachExample(const at::Tensor& qkv, const std::vector<int64_t>& offsets,
                    const AttentionShape& shape, const F& f) {
  const int64_t groups = shape.heads / shape.kv_heads;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t begin = offsets[e], length = offsets[e + 1] - begin;
    if (length == 0) continue;
    const Heads heads = Split(qkv, begin, length, shape);
    f(begin, length, Heads{heads.q.unsqueeze(0), Repeat(heads.k, groups), Repeat(heads.v, groups)});
  }
}

// The transpose of Repeat: [1, heads, L, D] summed over each group.
at::Tensor SumGroups(const at::Tensor& x, int64_t kv_heads) {
  return x.view({kv_heads, -1, x.size(2), x.size(3)}).sum(1);
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

// [L, L]: which keys (columns) a query (row) may not see.
at::Tensor Hidden(int64_t length, const AttentionShape& shape, const at::Tensor& like) {
  const at::Tensor ones = at::ones({length, length}, like.options().dtype(at::kBool));
  at::Tensor hidden = shape.causal ? ones.triu(1) : at::zeros_like(ones);
  if (shape.Windowed(length)) hidden = hidden.logical_or(ones.tril(-shape.window));
  return hidden;
}

// Scores before and after the cap; without one they are the same tensor.
struct Scores {
  at::Tensor scaled, capped;
};
Scores ScoresOf(const at::Tensor& q, const at::Tensor& k, const AttentionShape& shape) {
  Scores scores;
  scores.scaled = at::matmul(q, k.transpose(-1, -2)).to(at::kFloat) * shape.Scale();
  scores.capped =
      shape.softcap > 0 ? (scores.scaled / shape.softcap).tanh() * shape.softcap : scores.scaled;
  return scores;
}

at::Tensor Masked(const at::Tensor& scores, const AttentionShape& shape) {
  return scores.masked_fill(Hidden(scores.size(-1), shape, scores), -INFINITY);
}

}  // namespace

ExampleSpans::ExampleSpans(std::vector<int64_t> from, const at::Device& where)
    : offsets(std::move(from)) {
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    longest = std::max(longest, offsets[e + 1] - offsets[e]);
  }
  if (!where.is_cpu()) cumulative = at::tensor(offsets, at::kInt).to(where);
}

Attended Attention(const at::Tensor& qkv, const ExampleSpans& spans, const AttentionShape& shape) {
  if (UseLoops(qkv)) return OnCpu(qkv, spans.offsets, shape);
  if (const auto fused = gpu::FusedFor(qkv, spans, shape); fused != gpu::FusedAttention::kNone) {
    return gpu::Attention(fused, qkv, spans, shape);
  }
  const int64_t rows = qkv.size(0);
  Attended result{at::empty({rows, shape.heads * shape.dim}, qkv.options()),
                  at::empty({shape.heads, rows}, qkv.options().dtype(at::kFloat))};
  ForEachExample(qkv, spans.offsets, shape, [&](int64_t begin, int64_t length, const Heads& heads) {
    const at::Tensor scores = Masked(ScoresOf(heads.q, heads.k, shape).capped, shape);
    const at::Tensor logsumexp = scores.logsumexp(-1);
    const at::Tensor out =
        at::matmul((scores - logsumexp.unsqueeze(-1)).exp().to(heads.v.scalar_type()), heads.v);
    result.out.narrow(0, begin, length)
        .view({length, shape.heads, shape.dim})
        .copy_(out.squeeze(0).transpose(0, 1));
    result.logsumexp.narrow(1, begin, length).copy_(logsumexp.view({shape.heads, length}));
  });
  return result;
}

at::Tensor AttentionBackward(const at::Tensor& dout, const at::Tensor& qkv, const Attended& forward,
                             const ExampleSpans& spans, const AttentionShape& shape) {
  if (UseLoops(qkv)) return OnCpuBackward(dout, qkv, forward, spans.offsets, shape);
  if (const auto fused = gpu::FusedFor(qkv, spans, shape); fused != gpu::FusedAttention::kNone) {
    return gpu::AttentionBackward(fused, dout, qkv, forward, spans, shape);
  }
  at::Tensor gradient = at::empty_like(qkv);
  ForEachExample(qkv, spans.offsets, shape, [&](int64_t begin, int64_t length, const Heads& heads) {
    const auto& [q, k, v] = heads;
    auto by_head = [&](const at::Tensor& x) {
      return x.narrow(0, begin, length).view({1, length, shape.heads, shape.dim}).transpose(1, 2);
    };
    const at::Tensor d = by_head(dout), out = by_head(forward.out);
    const at::Tensor logsumexp = forward.logsumexp.narrow(1, begin, length).unsqueeze(0);
    const Scores scores = ScoresOf(q, k, shape);
    const at::Tensor p = (Masked(scores.capped, shape) - logsumexp.unsqueeze(-1)).exp();
    const at::Tensor pull = (d * out).to(at::kFloat).sum(-1, /*keepdim=*/true);
    at::Tensor wide =
        p * (at::matmul(d, v.transpose(-1, -2)).to(at::kFloat) - pull) * shape.Scale();
    if (shape.softcap > 0) wide = wide * (1 - (scores.capped / shape.softcap).square());
    const at::Tensor ds = wide.to(q.scalar_type());
    const Heads to = Split(gradient, begin, length, shape);
    to.q.copy_(at::matmul(ds, k).squeeze(0));
    to.k.copy_(SumGroups(at::matmul(ds.transpose(-1, -2), q), shape.kv_heads));
    to.v.copy_(SumGroups(at::matmul(p.to(d.scalar_type()).transpose(-1, -2), d), shape.kv_heads));
  });
  return gradient;
}

}  // namespace attune::engine::kernels
