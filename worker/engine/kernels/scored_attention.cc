#include "worker/engine/kernels/scored_attention.h"

#include <ATen/ATen.h>

#include <cmath>

namespace attune::engine::kernels {
namespace {

// One example: its rows of queries and of keys.
struct Example {
  int64_t query = 0, queries = 0, key = 0, keys = 0;

  // [heads, rows, dim], views.
  at::Tensor OfQueries(const at::Tensor& rows, int64_t dim) const {
    return rows.narrow(0, query, queries).view({queries, -1, dim}).transpose(0, 1);
  }
  at::Tensor OfKeys(const at::Tensor& rows, int64_t dim) const {
    return rows.narrow(0, key, keys).view({keys, -1, dim}).transpose(0, 1);
  }
};

// Calls f for each example that has queries.
template <typename F>
void ForEachExample(const AttentionOffsets& offsets, const F& f) {
  TORCH_CHECK(offsets.queries.size() == offsets.keys.size(),
              "queries and keys are of different numbers of examples");
  for (size_t e = 0; e + 1 < offsets.queries.size(); ++e) {
    const Example example{offsets.queries[e], offsets.queries[e + 1] - offsets.queries[e],
                          offsets.keys[e], offsets.keys[e + 1] - offsets.keys[e]};
    if (example.queries == 0) continue;
    TORCH_CHECK(example.keys > 0, "example ", e, " of a batch has nothing to attend to");
    f(example);
  }
}

// [kv_heads, L, D] -> [heads, L, D], each head repeated for its group.
at::Tensor Repeat(const at::Tensor& x, const AttentionShape& shape) {
  const int64_t groups = shape.heads / shape.kv_heads;
  if (groups == 1) return x;
  return x.unsqueeze(1)
      .expand({x.size(0), groups, x.size(1), x.size(2)})
      .reshape({shape.heads, x.size(1), x.size(2)});
}
// The transpose of Repeat: summed over each group.
at::Tensor SumGroups(const at::Tensor& x, const AttentionShape& shape) {
  return x.view({shape.kv_heads, -1, x.size(1), x.size(2)}).sum(1);
}

// The biases between the rows of an example of this length, out of those of all distances.
at::Tensor Within(const at::Tensor& distance_bias, int64_t length) {
  const int64_t longest = (distance_bias.size(1) + 1) / 2;
  TORCH_CHECK(length <= longest, "there are no biases for the distances in ", length, " tokens");
  return distance_bias.narrow(1, longest - length, 2 * length - 1);
}
// [heads, 2 L - 1] -> [heads, L, L]: query i and key j have element L - 1 + j - i.
at::Tensor Spread(const at::Tensor& within) {
  const int64_t length = (within.size(1) + 1) / 2;
  return within.unfold(1, length, 1).flip(1);
}
// Its transpose: each diagonal's sum. With L zeros behind each flipped row, rows of 2 L - 1 begin a
// place later each.
at::Tensor SumDiagonals(const at::Tensor& scores) {
  const int64_t heads = scores.size(0), length = scores.size(1);
  const at::Tensor wide = at::constant_pad_nd(scores.flip(1), {0, length});
  return wide.view({heads, -1})
      .narrow(1, 0, length * (2 * length - 1))
      .reshape({heads, length, 2 * length - 1})
      .sum(1);
}

// [L, L]: which keys (columns) a query (row) may not see.
at::Tensor Hidden(int64_t length, const AttentionShape& shape, const at::Tensor& like) {
  const at::Tensor ones = at::ones({length, length}, like.options().dtype(at::kBool));
  at::Tensor hidden = shape.causal ? ones.triu(1) : at::zeros_like(ones);
  if (shape.Windowed(length)) hidden = hidden.logical_or(ones.tril(-shape.window));
  return hidden;
}

// As softmax takes them, and after the cap alone; without one that is not needed.
struct Scores {
  at::Tensor capped, biased;
};
Scores ScoresOf(const at::Tensor& q, const at::Tensor& k, const at::Tensor& distance_bias,
                const AttentionShape& shape) {
  at::Tensor scores = at::bmm(q, k.transpose(1, 2)).to(at::kFloat).mul_(shape.Scale());
  Scores made;
  if (shape.softcap > 0) made.capped = scores = (scores / shape.softcap).tanh() * shape.softcap;
  if (distance_bias.defined()) scores = scores + Spread(Within(distance_bias, q.size(1)));
  if (shape.causal || shape.Windowed(k.size(1))) {
    scores = scores.masked_fill(Hidden(k.size(1), shape, scores), -INFINITY);
  }
  made.biased = scores;
  return made;
}

}  // namespace

Attended ScoredAttention(const AttentionRows& rows, const AttentionOffsets& offsets,
                         const AttentionShape& shape) {
  const auto options = rows.queries.options();
  const int64_t count = rows.queries.size(0);
  Attended result{at::empty({count, shape.heads * shape.dim}, options),
                  at::empty({shape.heads, count}, options.dtype(at::kFloat))};
  ForEachExample(offsets, [&](const Example& example) {
    const at::Tensor q = example.OfQueries(rows.queries, shape.dim);
    const at::Tensor k = Repeat(example.OfKeys(rows.keys, shape.dim), shape);
    const at::Tensor v = Repeat(example.OfKeys(rows.values, shape.dim), shape);
    const at::Tensor scores = ScoresOf(q, k, rows.distance_bias, shape).biased;
    const at::Tensor logsumexp = scores.logsumexp(-1);
    const at::Tensor p = (scores - logsumexp.unsqueeze(-1)).exp_().to(v.scalar_type());
    example.OfQueries(result.out, shape.dim).copy_(at::bmm(p, v));
    result.logsumexp.narrow(1, example.query, example.queries).copy_(logsumexp);
  });
  return result;
}

void ScoredAttentionBackward(const at::Tensor& dout, const AttentionRows& rows,
                             const Attended& forward, const AttentionOffsets& offsets,
                             const AttentionShape& shape, const AttentionRows& gradient) {
  // Of keys that have no queries it is nothing else.
  gradient.keys.zero_();
  gradient.values.zero_();
  ForEachExample(offsets, [&](const Example& example) {
    const at::Tensor q = example.OfQueries(rows.queries, shape.dim);
    const at::Tensor k = Repeat(example.OfKeys(rows.keys, shape.dim), shape);
    const at::Tensor v = Repeat(example.OfKeys(rows.values, shape.dim), shape);
    const at::Tensor d = example.OfQueries(dout, shape.dim);
    const at::Tensor out = example.OfQueries(forward.out, shape.dim);
    const at::Tensor logsumexp = forward.logsumexp.narrow(1, example.query, example.queries);
    const Scores scores = ScoresOf(q, k, rows.distance_bias, shape);
    const at::Tensor p = (scores.biased - logsumexp.unsqueeze(-1)).exp_();
    const at::Tensor pull = (d * out).to(at::kFloat).sum(-1, /*keepdim=*/true);
    at::Tensor ds = at::bmm(d, v.transpose(1, 2)).to(at::kFloat).sub_(pull).mul_(p);
    if (gradient.distance_bias.defined()) {
      Within(gradient.distance_bias, example.queries).add_(SumDiagonals(ds));
    }
    ds.mul_(shape.Scale());
    if (shape.softcap > 0) ds = ds * (1 - (scores.capped / shape.softcap).square());
    ds = ds.to(q.scalar_type());
    example.OfQueries(gradient.queries, shape.dim).copy_(at::bmm(ds, k));
    example.OfKeys(gradient.keys, shape.dim)
        .copy_(SumGroups(at::bmm(ds.transpose(1, 2), q), shape));
    example.OfKeys(gradient.values, shape.dim)
        .copy_(SumGroups(at::bmm(p.to(d.scalar_type()).transpose(1, 2), d), shape));
  });
}

}  // namespace attune::engine::kernels
