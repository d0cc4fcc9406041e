#include "worker/engine/parts/self_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "worker/engine/parts/record.h"

namespace attune::engine {
namespace {

// The vectors of some heads of each row, one a row: a copy.
at::Tensor VectorsOf(const at::Tensor& rows, int64_t first, int64_t heads, int64_t dim) {
  return rows.narrow(1, first * dim, heads * dim).reshape({-1, dim});
}
void PutVectors(const at::Tensor& rows, int64_t first, int64_t heads, const at::Tensor& vectors) {
  const at::Tensor to = rows.narrow(1, first * vectors.size(1), heads * vectors.size(1));
  to.copy_(vectors.view(to.sizes()));
}

}  // namespace

SelfAttention::SelfAttention(const ModelConfig& config, int64_t layer, const at::Device& device)
    : shape_{.heads = config.heads,
             .kv_heads = config.kv_heads,
             .dim = config.head_dim,
             .scale = config.attention_scale,
             .window = config.windows[static_cast<size_t>(layer)],
             .softcap = config.attention_softcap,
             .causal = config.causal} {
  if (!config.ropes.empty()) rope_ = config.rope_of[static_cast<size_t>(layer)];
  const auto norm = [&](const std::string& name) {
    if (name.empty()) return Norm();
    return Norm(config.norm, config.norm_eps, config.head_dim,
                config.names.layer + std::to_string(layer) + "." + name, device);
  };
  query_norm_ = norm(config.names.query_norm);
  key_norm_ = norm(config.names.key_norm);
  if (layer > 0 || config.names.distance_bias.empty()) return;
  table_name_ = config.names.layer + "0." + config.names.distance_bias + ".weight";
  distance_table_ = at::empty({config.distances.buckets, config.heads},
                              at::TensorOptions().dtype(at::kFloat).device(device));
}

at::Tensor SelfAttention::Prepare(const at::Tensor& qkv, const ForwardContext& context,
                                  Statistics* statistics) const {
  at::Tensor out = qkv;
  if (query_norm_) {
    out = qkv.clone();
    const auto normalize = [&](const Norm& norm, int64_t first, int64_t heads,
                               Norm::Statistics* kept) {
      PutVectors(out, first, heads, norm.Forward(VectorsOf(qkv, first, heads, shape_.dim), kept));
    };
    normalize(query_norm_, 0, shape_.heads, &statistics->queries);
    normalize(key_norm_, shape_.heads, shape_.kv_heads, &statistics->keys);
  }
  if (rope_) {
    const RopeRows& rope = context.ropes[*rope_];
    kernels::Rotate(out, shape_.heads + shape_.kv_heads, shape_.dim, rope.cos, rope.sin, false);
  }
  return out;
}

void SelfAttention::PrepareBackward(const at::Tensor& dqkv, const at::Tensor& raw,
                                    const ForwardContext& context, const Statistics& statistics,
                                    std::vector<at::Tensor>& gradients) const {
  if (rope_) {
    const RopeRows& rope = context.ropes[*rope_];
    kernels::Rotate(dqkv, shape_.heads + shape_.kv_heads, shape_.dim, rope.cos, rope.sin, true);
  }
  if (!query_norm_) return;
  const auto back = [&](const Norm& norm, int64_t first, int64_t heads,
                        const Norm::Statistics& kept) {
    const at::Tensor x = VectorsOf(raw, first, heads, shape_.dim), dx = at::zeros_like(x);
    norm.Backward(VectorsOf(dqkv, first, heads, shape_.dim), x, kept, dx, gradients);
    PutVectors(dqkv, first, heads, dx);
  };
  back(query_norm_, 0, shape_.heads, statistics.queries);
  back(key_norm_, shape_.heads, shape_.kv_heads, statistics.keys);
}

at::Tensor SelfAttention::Forward(const at::Tensor& qkv, const SharedContext& context) const {
  Tensors inputs = {qkv, context->distance_bias};
  for (at::Tensor& parameter : Trainable()) inputs.push_back(std::move(parameter));
  const at::Tensor raw = qkv.detach();
  const at::Tensor bias =
      context->distance_bias.defined() ? context->distance_bias.detach() : at::Tensor();
  kernels::Attended attended;
  {
    at::NoGradGuard no_grad;
    Statistics statistics;
    attended =
        kernels::Attention(Prepare(raw, *context, &statistics), context->spans, shape_, bias);
  }
  const at::Tensor out = attended.out;
  if (!Records(inputs)) return out;
  attended.out = out.detach();  // the same memory, without the node that holds it
  Record("SelfAttention", out, inputs,
         [this, raw, context, attended, bias](const at::Tensor& dy,
                                              const std::function<bool(size_t)>& wanted) {
           // Without norms of heads raw was prepared in place.
           Statistics statistics;
           const at::Tensor prepared = query_norm_ ? Prepare(raw, *context, &statistics) : raw;
           const at::Tensor dbias = wanted(1) ? at::zeros_like(bias) : at::Tensor();
           const at::Tensor dqkv = kernels::AttentionBackward(dy, prepared, attended,
                                                              context->spans, shape_, bias, dbias);
           Tensors gradients = {dqkv, dbias};
           PrepareBackward(dqkv, raw, *context, statistics, gradients);
           return gradients;
         });
  return out;
}

at::Tensor SelfAttention::Extend(const at::Tensor& qkv, const ForwardContext& context,
                                 std::span<const FilledCache> caches) const {
  const int64_t q_size = shape_.heads * shape_.dim, kv_size = shape_.kv_heads * shape_.dim;
  Statistics unused;
  const at::Tensor prepared = Prepare(qkv, context, &unused);
  const std::vector<int64_t>& offsets = context.spans.offsets;
  for (size_t e = 0; e < caches.size(); ++e) {
    const auto& [cache, length] = caches[e];
    const int64_t rows = offsets[e + 1] - offsets[e];
    const at::Tensor own = prepared.narrow(0, offsets[e], rows);
    cache->keys.narrow(0, length, rows).copy_(own.narrow(1, q_size, kv_size));
    cache->values.narrow(0, length, rows).copy_(own.narrow(1, q_size + kv_size, kv_size));
  }
  if (std::ranges::all_of(caches, [](const FilledCache& c) { return c.length == 0; })) {
    return kernels::Attention(prepared, context.spans, shape_, context.distance_bias).out;
  }
  TORCH_CHECK(prepared.size(0) == static_cast<int64_t>(caches.size()),
              "a cached sequence grows by one token at a time");
  std::vector<at::Tensor> attended;
  for (size_t e = 0; e < caches.size(); ++e) {
    attended.push_back(OneRow(prepared.narrow(0, static_cast<int64_t>(e), 1), context, caches[e]));
  }
  return attended.size() == 1 ? attended.front() : at::cat(attended);
}

at::Tensor SelfAttention::OneRow(const at::Tensor& prepared, const ForwardContext& context,
                                 const FilledCache& filled) const {
  const auto& [cache, length] = filled;
  const int64_t groups = shape_.heads / shape_.kv_heads, total = length + 1;
  const int64_t seen = shape_.Windowed(total) ? shape_.window : total;
  const auto by_head = [&](const at::Tensor& rows) {
    return rows.narrow(0, total - seen, seen)
        .view({seen, shape_.kv_heads, shape_.dim})
        .transpose(0, 1);
  };
  const at::Tensor q =
      prepared.narrow(1, 0, shape_.heads * shape_.dim).view({shape_.kv_heads, groups, shape_.dim});
  at::Tensor scores =
      at::bmm(q, by_head(cache->keys).transpose(1, 2)).to(at::kFloat) * shape_.Scale();
  if (shape_.softcap > 0) scores = (scores / shape_.softcap).tanh() * shape_.softcap;
  if (const at::Tensor& bias = context.distance_bias; bias.defined()) {
    const int64_t farthest = (bias.size(1) + 1) / 2 - seen;
    scores = scores + bias.narrow(1, farthest, seen).view_as(scores);
  }
  return at::bmm(scores.softmax(-1).to(prepared.scalar_type()), by_head(cache->values))
      .view({1, -1});
}

void SelfAttention::TrainBase(bool trains) {
  query_norm_.TrainBase(trains);
  key_norm_.TrainBase(trains);
  if (distance_table_.defined()) {
    distance_table_ = distance_table_.detach().requires_grad_(trains);
  }
}

std::vector<at::Tensor> SelfAttention::Trainable() const {
  std::vector<at::Tensor> all = query_norm_.Trainable();
  for (at::Tensor& tensor : key_norm_.Trainable()) all.push_back(std::move(tensor));
  return all;
}

void SelfAttention::AppendTo(NamedTensors* named) const {
  query_norm_.AppendTo(named);
  key_norm_.AppendTo(named);
  if (distance_table_.defined()) named->emplace_back(table_name_, distance_table_);
}

void SelfAttention::AppendTo(Slots* slots) {
  query_norm_.AppendTo(slots);
  key_norm_.AppendTo(slots);
  if (distance_table_.defined()) {
    slots->push_back({table_name_, &distance_table_, distance_table_});
  }
}

}  // namespace attune::engine
