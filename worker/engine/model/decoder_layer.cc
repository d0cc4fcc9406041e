#include "worker/engine/model/decoder_layer.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <cmath>
#include <utility>

#include "worker/engine/kernels/pointwise.h"

namespace attune::engine {

namespace autograd = torch::autograd;

struct LayerNode : autograd::Node {
  const DecoderLayer* layer = nullptr;
  std::shared_ptr<const ForwardContext> context;
  DecoderLayer::Activations kept;

  autograd::variable_list apply(autograd::variable_list&& gradients) override {
    TORCH_CHECK(kept.x.defined(),
                "backward ran twice through a decoder layer without retain_graph");
    at::NoGradGuard no_grad;
    const DecoderLayer::Activations* activations = &kept;
    DecoderLayer::Activations again;
    if (context->checkpoint) {
      layer->Compute(kept.x, *context, &again);
      activations = &again;
    }
    autograd::variable_list result(1);
    at::Tensor dx = layer->Backward(gradients[0].contiguous(), *activations, *context,
                                    should_compute_output(0), result);
    result[0] = std::move(dx);
    return result;
  }
  void release_variables() override { kept = {}; }
  std::string name() const override { return "DecoderLayer"; }
};

namespace {

std::string LayerName(int64_t index, const char* rest) {
  return "model.layers." + std::to_string(index) + "." + rest;
}

}  // namespace

DecoderLayer::DecoderLayer(const LlamaConfig& config, int64_t index,
                           const at::TensorOptions& weights)
    : index_(index),
      eps_(config.rms_norm_eps),
      shape_{config.heads, config.kv_heads, config.head_dim},
      qkv_(config.hidden_size,
           {{LayerName(index, "self_attn.q_proj"), config.q_size()},
            {LayerName(index, "self_attn.k_proj"), config.kv_size()},
            {LayerName(index, "self_attn.v_proj"), config.kv_size()}},
           config.attention_bias, weights),
      o_(config.q_size(), {{LayerName(index, "self_attn.o_proj"), config.hidden_size}},
         config.attention_bias, weights),
      gate_up_(config.hidden_size,
               {{LayerName(index, "mlp.gate_proj"), config.intermediate_size},
                {LayerName(index, "mlp.up_proj"), config.intermediate_size}},
               config.mlp_bias, weights),
      down_(config.intermediate_size, {{LayerName(index, "mlp.down_proj"), config.hidden_size}},
            config.mlp_bias, weights),
      input_norm_(at::empty({config.hidden_size}, weights.dtype(at::kFloat))),
      post_norm_(at::empty_like(input_norm_)) {}

void DecoderLayer::TrainBase(bool trains) {
  for (Projection* projection : projections()) projection->TrainBase(trains);
  input_norm_ = input_norm_.detach().requires_grad_(trains);
  post_norm_ = post_norm_.detach().requires_grad_(trains);
}

std::vector<at::Tensor> DecoderLayer::Trainable() const {
  std::vector<at::Tensor> tensors;
  for (const Projection* projection : {&down_, &gate_up_}) {
    for (at::Tensor& tensor : projection->Trainable()) tensors.push_back(std::move(tensor));
  }
  if (post_norm_.requires_grad()) tensors.push_back(post_norm_);
  for (const Projection* projection : {&o_, &qkv_}) {
    for (at::Tensor& tensor : projection->Trainable()) tensors.push_back(std::move(tensor));
  }
  if (input_norm_.requires_grad()) tensors.push_back(input_norm_);
  return tensors;
}

Projection::Call DecoderLayer::Call(const ForwardContext& context, uint32_t projection) const {
  const auto place = static_cast<uint32_t>(index_) * 4 + projection;
  return {context.places ? &*context.places : nullptr, context.seed,
          place * Projection::kPartsMost};
}

at::Tensor DecoderLayer::Forward(const at::Tensor& x,
                                 const std::shared_ptr<const ForwardContext>& context) const {
  std::vector<at::Tensor> inputs = Trainable();
  inputs.insert(inputs.begin(), x);
  if (!at::GradMode::is_enabled() || !autograd::any_variable_requires_grad(inputs)) {
    at::NoGradGuard no_grad;
    return Compute(x, *context, nullptr);
  }
  auto node = std::shared_ptr<LayerNode>(new LayerNode(), autograd::deleteNode);
  node->layer = this;
  node->context = context;
  node->set_next_edges(autograd::collect_next_edges(inputs));
  at::Tensor out;
  {
    at::NoGradGuard no_grad;
    out = Compute(x.detach(), *context, context->checkpoint ? nullptr : &node->kept);
  }
  node->kept.x = x.detach();
  autograd::set_history(out, node);
  return out;
}

at::Tensor DecoderLayer::Compute(const at::Tensor& x, const ForwardContext& context,
                                 Activations* keep) const {
  auto keeper = [&](int i) { return keep == nullptr ? nullptr : &keep->projected[i]; };
  const kernels::Normalized normalized = kernels::RmsNorm(x, input_norm_, eps_);
  at::Tensor qkv = qkv_.Forward(normalized.value, {}, Call(context, 0), keeper(0));
  kernels::Rotate(qkv, shape_.heads + shape_.kv_heads, shape_.dim, context.cos, context.sin, false);
  kernels::Attended attended = kernels::Attention(qkv, context.spans, shape_);
  at::Tensor middle = o_.Forward(attended.out, x, Call(context, 1), keeper(1));
  if (keep != nullptr) {
    keep->x = x;
    keep->input_rstd = normalized.rstd;
    keep->qkv = std::move(qkv);
    keep->attended = std::move(attended);
    keep->middle = middle;
  }
  return Mlp(middle, context, keep);
}

at::Tensor DecoderLayer::Mlp(const at::Tensor& middle, const ForwardContext& context,
                             Activations* keep) const {
  auto keeper = [&](int i) { return keep == nullptr ? nullptr : &keep->projected[i]; };
  const kernels::Normalized normalized = kernels::RmsNorm(middle, post_norm_, eps_);
  const at::Tensor gate_up = gate_up_.Forward(normalized.value, {}, Call(context, 2), keeper(2));
  if (keep != nullptr) {
    keep->post_rstd = normalized.rstd;
    keep->gate_up = gate_up;
  }
  return down_.Forward(kernels::Swiglu(gate_up), middle, Call(context, 3), keeper(3));
}

at::Tensor DecoderLayer::Backward(const at::Tensor& dy, const Activations& kept,
                                  const ForwardContext& context, bool want_dx,
                                  std::vector<at::Tensor>& gradients) const {
  auto norm_gradient = [](const at::Tensor& weight) {
    return weight.requires_grad() ? at::zeros_like(weight) : at::Tensor();
  };
  at::Tensor dmiddle = dy.clone();
  {
    at::Tensor dgate_up = down_.Backward(dy, kernels::Swiglu(kept.gate_up), Call(context, 3),
                                         kept.projected[3], true, gradients);
    dgate_up = kernels::SwigluBackward(dgate_up, kept.gate_up);
    const at::Tensor normalized = kernels::RmsNorm(kept.middle, post_norm_, eps_).value;
    const at::Tensor dnormalized = gate_up_.Backward(dgate_up, normalized, Call(context, 2),
                                                     kept.projected[2], true, gradients);
    const at::Tensor dweight = norm_gradient(post_norm_);
    kernels::RmsNormBackward(dnormalized, kept.middle, post_norm_, kept.post_rstd, dmiddle,
                             dweight);
    if (dweight.defined()) gradients.push_back(dweight);
  }
  at::Tensor dattended =
      o_.Backward(dmiddle, kept.attended.out, Call(context, 1), kept.projected[1], true, gradients);
  at::Tensor dqkv =
      kernels::AttentionBackward(dattended, kept.qkv, kept.attended, context.spans, shape_);
  kernels::Rotate(dqkv, shape_.heads + shape_.kv_heads, shape_.dim, context.cos, context.sin, true);
  const at::Tensor normalized = kernels::RmsNorm(kept.x, input_norm_, eps_).value;
  const at::Tensor dweight = norm_gradient(input_norm_);
  want_dx = want_dx || dweight.defined();
  const at::Tensor dnormalized =
      qkv_.Backward(dqkv, normalized, Call(context, 0), kept.projected[0], want_dx, gradients);
  if (!want_dx) return {};
  kernels::RmsNormBackward(dnormalized, kept.x, input_norm_, kept.input_rstd, dmiddle, dweight);
  if (dweight.defined()) gradients.push_back(dweight);
  return dmiddle;
}

at::Tensor DecoderLayer::Extend(const at::Tensor& x, const ForwardContext& context,
                                const LayerCache& cache, int64_t length) const {
  const int64_t rows = x.size(0), groups = shape_.heads / shape_.kv_heads;
  const at::Tensor normalized = kernels::RmsNorm(x, input_norm_, eps_).value;
  const at::Tensor qkv = qkv_.Forward(normalized, {}, {}, nullptr);
  kernels::Rotate(qkv, shape_.heads + shape_.kv_heads, shape_.dim, context.cos, context.sin, false);
  const int64_t kv_size = shape_.kv_heads * shape_.dim;
  cache.keys.narrow(0, length, rows).copy_(qkv.narrow(1, shape_.heads * shape_.dim, kv_size));
  cache.values.narrow(0, length, rows)
      .copy_(qkv.narrow(1, shape_.heads * shape_.dim + kv_size, kv_size));
  at::Tensor attended;
  if (length == 0) {
    attended = kernels::Attention(qkv, context.spans, shape_).out;
  } else {
    TORCH_CHECK(rows == 1, "a cached sequence grows by one token at a time");
    const int64_t total = length + rows;
    auto by_head = [&](const at::Tensor& t) {
      return t.narrow(0, 0, total).view({total, shape_.kv_heads, shape_.dim}).transpose(0, 1);
    };
    const at::Tensor q =
        qkv.narrow(1, 0, shape_.heads * shape_.dim).view({shape_.kv_heads, groups, shape_.dim});
    const at::Tensor scores = at::bmm(q, by_head(cache.keys).transpose(1, 2)).to(at::kFloat) /
                              std::sqrt(static_cast<double>(shape_.dim));
    attended = at::bmm(scores.softmax(-1).to(x.scalar_type()), by_head(cache.values)).view({1, -1});
  }
  return Mlp(o_.Forward(attended, x, {}, nullptr), context, nullptr);
}

}  // namespace attune::engine
