#include "worker/engine/kernels/attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "worker/engine/kernels/attention_cpu.h"

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

// The transpose of Repeat: [1, heads, L, D] summed over each group.
at::Tensor SumGroups(const at::Tensor& x, int64_t kv_heads) {
  return x.view({kv_heads, -1, x.size(2), x.size(3)}).sum(1);
}

bool UseCpu(const at::Tensor& qkv) {
  return qkv.device().is_cpu() && qkv.scalar_type() == at::kFloat && qkv.is_contiguous();
}

at::Tensor Probabilities(const at::Tensor& q, const at::Tensor& k, double scale,
                         const at::Tensor& logsumexp) {
  at::Tensor scores = at::matmul(q, k.transpose(-1, -2)).to(at::kFloat) * scale;
  const int64_t length = q.size(-2);
  const at::Tensor later = at::ones({length, length}, scores.options().dtype(at::kBool)).triu(1);
  scores.masked_fill_(later, -INFINITY);
  if (logsumexp.defined()) return (scores - logsumexp.unsqueeze(-1)).exp();
  return scores;
}

}  // namespace

Attended Attention(const at::Tensor& qkv, const std::vector<int64_t>& offsets,
                   const AttentionShape& shape) {
  const int64_t rows = qkv.size(0), groups = shape.heads / shape.kv_heads;
  const double scale = 1 / std::sqrt(static_cast<double>(shape.dim));
  Attended result{at::empty({rows, shape.heads * shape.dim}, qkv.options()),
                  at::empty({shape.heads, rows}, qkv.options().dtype(at::kFloat))};
  if (UseCpu(qkv)) {
    AttentionCpu(qkv.const_data_ptr<float>(), offsets, shape, result.out.mutable_data_ptr<float>(),
                 result.logsumexp.mutable_data_ptr<float>());
    return result;
  }
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t begin = offsets[e], length = offsets[e + 1] - begin;
    if (length == 0) continue;
    const Heads heads = Split(qkv, begin, length, shape);
    const at::Tensor q = heads.q.unsqueeze(0), k = Repeat(heads.k, groups),
                     v = Repeat(heads.v, groups);
    at::Tensor out, logsumexp;
    if (qkv.device().is_cpu()) {
      std::tie(out, logsumexp) = at::_scaled_dot_product_flash_attention_for_cpu(
          q, k, v, 0.0, /*is_causal=*/true, {}, scale);
    } else {
      const at::Tensor scores = Probabilities(q, k, scale, {});
      logsumexp = scores.logsumexp(-1);
      out = at::matmul((scores - logsumexp.unsqueeze(-1)).exp().to(v.scalar_type()), v);
    }
    result.out.narrow(0, begin, length)
        .view({length, shape.heads, shape.dim})
        .copy_(out.squeeze(0).transpose(0, 1));
    result.logsumexp.narrow(1, begin, length).copy_(logsumexp.view({shape.heads, length}));
  }
  return result;
}

at::Tensor AttentionBackward(const at::Tensor& dout, const at::Tensor& qkv, const Attended& forward,
                             const std::vector<int64_t>& offsets, const AttentionShape& shape) {
  const int64_t groups = shape.heads / shape.kv_heads;
  const double scale = 1 / std::sqrt(static_cast<double>(shape.dim));
  at::Tensor gradient = at::empty_like(qkv);
  if (UseCpu(qkv)) {
    AttentionCpuBackward(dout.const_data_ptr<float>(), qkv.const_data_ptr<float>(),
                         forward.out.const_data_ptr<float>(),
                         forward.logsumexp.const_data_ptr<float>(), offsets, shape,
                         gradient.mutable_data_ptr<float>());
    return gradient;
  }
  auto by_head = [&](const at::Tensor& x, int64_t begin, int64_t length) {
    return x.narrow(0, begin, length).view({1, length, shape.heads, shape.dim}).transpose(1, 2);
  };
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t begin = offsets[e], length = offsets[e + 1] - begin;
    if (length == 0) continue;
    const Heads heads = Split(qkv, begin, length, shape);
    const at::Tensor q = heads.q.unsqueeze(0), k = Repeat(heads.k, groups),
                     v = Repeat(heads.v, groups);
    const at::Tensor d = by_head(dout, begin, length), out = by_head(forward.out, begin, length);
    const at::Tensor logsumexp = forward.logsumexp.narrow(1, begin, length).unsqueeze(0);
    at::Tensor dq, dk, dv;
    if (qkv.device().is_cpu()) {
      std::tie(dq, dk, dv) = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          d, q, k, v, out, logsumexp, 0.0, /*is_causal=*/true, {}, scale);
    } else {
      const at::Tensor p = Probabilities(q, k, scale, logsumexp);
      const at::Tensor pull = (d * out).to(at::kFloat).sum(-1, /*keepdim=*/true);
      const at::Tensor ds = (p * (at::matmul(d, v.transpose(-1, -2)).to(at::kFloat) - pull) * scale)
                                .to(q.scalar_type());
      dv = at::matmul(p.to(d.scalar_type()).transpose(-1, -2), d);
      dq = at::matmul(ds, k);
      dk = at::matmul(ds.transpose(-1, -2), q);
    }
    const Heads to = Split(gradient, begin, length, shape);
    to.q.copy_(dq.squeeze(0));
    to.k.copy_(SumGroups(dk, shape.kv_heads));
    to.v.copy_(SumGroups(dv, shape.kv_heads));
  }
  return gradient;
}

}  // namespace attune::engine::kernels
