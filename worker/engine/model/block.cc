#include "worker/engine/model/block.h"

#include <ATen/ATen.h>

#include <utility>

#include "worker/engine/parts/cross_attention.h"
#include "worker/engine/parts/record.h"

namespace attune::engine {
namespace {

Projection MakeProjection(const ModelConfig& config, int64_t index, ProjectionKind kind,
                          const at::TensorOptions& weights, bool nf4) {
  const std::vector<LinearInfo> linears = LinearsOf(config, index, kind);
  if (linears.empty()) return Projection();
  return Projection(linears, config.transposed_linears, weights, nf4);
}

// A number for each of a model's projections, of all layers before these. Runs that go on from a
// checkpoint drop what they dropped before, so it stays as it is.
uint32_t FirstModule(const ModelConfig& config, int64_t index) {
  constexpr int64_t kOwn = 4, kWithCross = 7;
  const int64_t before = config.encoder ? config.encoder->layers * kOwn : 0;
  return static_cast<uint32_t>(before + index * (config.encoder ? kWithCross : kOwn)) *
         Projection::kPartsMost;
}

Norm MakeNorm(const ModelConfig& config, int64_t index, const std::string& name,
              const at::TensorOptions& weights) {
  if (name.empty()) return Norm();
  return Norm(config.norm, config.norm_eps, config.hidden_size,
              config.names.layer + std::to_string(index) + "." + name, weights.device());
}

}  // namespace

Block::Block(const ModelConfig& config, int64_t index, const at::TensorOptions& weights, bool nf4)
    : index_(index),
      first_module_(FirstModule(config, index)),
      gated_(config.gated),
      post_norm_(config.post_norm),
      activation_(config.activation),
      qkv_(MakeProjection(config, index, ProjectionKind::kQkv, weights, nf4)),
      attention_out_(MakeProjection(config, index, ProjectionKind::kAttentionOut, weights, nf4)),
      mlp_in_(MakeProjection(config, index, ProjectionKind::kMlpIn, weights, nf4)),
      mlp_out_(MakeProjection(config, index, ProjectionKind::kMlpOut, weights, nf4)),
      cross_query_(MakeProjection(config, index, ProjectionKind::kCrossQuery, weights, nf4)),
      cross_key_value_(MakeProjection(config, index, ProjectionKind::kCrossKeyValue, weights, nf4)),
      cross_out_(MakeProjection(config, index, ProjectionKind::kCrossOut, weights, nf4)),
      attention_(config, index, weights.device()),
      cross_shape_(CrossAttentionShape(config)),
      cross_norm_(MakeNorm(config, index, config.names.cross_norm, weights)),
      attention_norm_(MakeNorm(config, index, config.names.attention_norm, weights)),
      mlp_norm_(MakeNorm(config, index, config.names.mlp_norm, weights)),
      attention_after_norm_(MakeNorm(config, index, config.names.attention_after_norm, weights)),
      mlp_after_norm_(MakeNorm(config, index, config.names.mlp_after_norm, weights)) {}

std::vector<Projection*> Block::projections() {
  std::vector<Projection*> all = {&qkv_, &attention_out_, &mlp_in_, &mlp_out_};
  if (cross_norm_) all.insert(all.end(), {&cross_query_, &cross_key_value_, &cross_out_});
  return all;
}

std::vector<const Projection*> Block::projections() const {
  std::vector<const Projection*> all = {&qkv_, &attention_out_, &mlp_in_, &mlp_out_};
  if (cross_norm_) all.insert(all.end(), {&cross_query_, &cross_key_value_, &cross_out_});
  return all;
}

std::vector<Norm*> Block::norms() {
  return {&attention_norm_, &attention_after_norm_, &cross_norm_, &mlp_norm_, &mlp_after_norm_};
}

std::vector<const Norm*> Block::norms() const {
  return {&attention_norm_, &attention_after_norm_, &cross_norm_, &mlp_norm_, &mlp_after_norm_};
}

void Block::TrainBase(bool trains) {
  for (Projection* projection : projections()) projection->TrainBase(trains);
  for (Norm* norm : norms()) norm->TrainBase(trains);
  attention_.TrainBase(trains);
}

void Block::AppendTo(NamedTensors* named) const {
  for (const Projection* projection : projections()) projection->AppendTo(named);
  attention_.AppendTo(named);
  for (const Norm* norm : norms()) norm->AppendTo(named);
}

void Block::AppendTo(Slots* slots) {
  for (Projection* projection : projections()) projection->AppendTo(slots);
  attention_.AppendTo(slots);
  for (Norm* norm : norms()) norm->AppendTo(slots);
}

std::vector<at::Tensor> Block::Trainable() const {
  std::vector<at::Tensor> all = attention_.Trainable();
  const auto add = [&](std::vector<at::Tensor> some) {
    for (at::Tensor& tensor : some) all.push_back(std::move(tensor));
  };
  for (const Projection* projection : projections()) add(projection->Trainable());
  for (const Norm* norm : norms()) add(norm->Trainable());
  return all;
}

PlacedProjection Block::Placed(ProjectionKind kind, const SharedContext& context) const {
  const auto place = static_cast<uint32_t>(kind);
  return {*projections()[place], context, first_module_ + place * Projection::kPartsMost};
}

at::Tensor Block::Into(ProjectionKind kind, const at::Tensor& x, const Norm& norm,
                       const SharedContext& context) const {
  return post_norm_ ? Linear(x, Placed(kind, context))
                    : NormedLinear(x, norm, Placed(kind, context));
}

at::Tensor Block::AddAttention(const at::Tensor& x, const at::Tensor& attended,
                               const SharedContext& context) const {
  const PlacedProjection out = Placed(ProjectionKind::kAttentionOut, context);
  if (post_norm_) return Normalize(Linear(attended, out, x), attention_norm_);
  if (!attention_after_norm_) return Linear(attended, out, x);
  return Normalize(Linear(attended, out), attention_after_norm_, x);
}

at::Tensor Block::SourceKeyValue(const SharedContext& context) const {
  return Linear(context->encoded, Placed(ProjectionKind::kCrossKeyValue, context->source));
}

at::Tensor Block::AddCrossAttention(const at::Tensor& x, const at::Tensor& key_value,
                                    const SharedContext& context) const {
  const at::Tensor queries = Into(ProjectionKind::kCrossQuery, x, cross_norm_, context);
  const at::Tensor attended = CrossAttention(queries, key_value, context, cross_shape_);
  return Linear(attended, Placed(ProjectionKind::kCrossOut, context), x);
}

at::Tensor Block::AddCachedCross(const at::Tensor& x, std::span<const FilledCache> caches,
                                 const SharedContext& context) const {
  const at::Tensor queries = Into(ProjectionKind::kCrossQuery, x, cross_norm_, context);
  std::vector<at::Tensor> attended;
  for (size_t e = 0; e < caches.size(); ++e) {
    const at::Tensor& source = caches[e].cache->source;
    attended.push_back(kernels::CrossAttention(queries.narrow(0, static_cast<int64_t>(e), 1),
                                               source, {{0, 1}, x.device()},
                                               {{0, source.size(0)}, x.device()}, cross_shape_)
                           .out);
  }
  return Linear(at::cat(attended), Placed(ProjectionKind::kCrossOut, context), x);
}

at::Tensor Block::AddMlp(const at::Tensor& x, const SharedContext& context) const {
  const at::Tensor in = Into(ProjectionKind::kMlpIn, x, mlp_norm_, context);
  const PlacedProjection out = Placed(ProjectionKind::kMlpOut, context);
  if (post_norm_) return Normalize(ActivatedLinear(in, activation_, gated_, out, x), mlp_norm_);
  if (!mlp_after_norm_) return ActivatedLinear(in, activation_, gated_, out, x);
  return Normalize(ActivatedLinear(in, activation_, gated_, out), mlp_after_norm_, x);
}

at::Tensor Block::Compute(const at::Tensor& x, const SharedContext& context) const {
  const at::Tensor qkv = Into(ProjectionKind::kQkv, x, attention_norm_, context);
  at::Tensor out = AddAttention(x, attention_.Forward(qkv, context), context);
  if (cross_norm_) out = AddCrossAttention(out, SourceKeyValue(context), context);
  return AddMlp(out, context);
}

at::Tensor Block::Forward(const at::Tensor& x, const SharedContext& context) const {
  if (index_ >= context->checkpointed_layers) return Compute(x, context);
  std::vector<at::Tensor> beside = Trainable();
  for (const at::Tensor& tensor : {context->distance_bias, context->encoded}) {
    if (tensor.defined() && tensor.requires_grad()) beside.push_back(tensor);
  }
  return Checkpointed(x, beside,
                      [this, context](const at::Tensor& again) { return Compute(again, context); });
}

at::Tensor Block::Extend(const at::Tensor& x, const SharedContext& context,
                         std::span<const FilledCache> caches) const {
  const at::Tensor qkv = Into(ProjectionKind::kQkv, x, attention_norm_, context);
  at::Tensor out = AddAttention(x, attention_.Extend(qkv, *context, caches), context);
  if (cross_norm_) out = AddCachedCross(out, caches, context);
  return AddMlp(out, context);
}

}  // namespace attune::engine
