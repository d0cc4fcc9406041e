#include "worker/engine/model/loss.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <utility>

#include "worker/engine/kernels/cross_entropy.h"

namespace attune::engine {
namespace {

namespace autograd = torch::autograd;

struct EmbedNode : autograd::Node {
  at::Tensor tokens;
  Embedding embedding;  // its weight detached, its scale rounded
  std::shared_ptr<TiedGradient> tied;

  autograd::variable_list apply(autograd::variable_list&& gradients) override {
    at::NoGradGuard no_grad;
    at::Tensor result = tied != nullptr && tied->value.defined() ? std::move(tied->value)
                                                                 : at::zeros_like(embedding.weight);
    if (tied != nullptr) tied->value.reset();
    at::Tensor rows = gradients[0].to(result.scalar_type());
    if (embedding.scale != 1) rows = rows * embedding.scale;
    if (embedding.padding) {
      rows = rows.masked_fill((tokens == *embedding.padding).unsqueeze(1), 0);
    }
    if (result.is_cpu()) {
      result.index_add_(0, tokens, rows);
    } else {
      // index_add_ adds up the rows of a token in any order there, index_put_ in a fixed one.
      result.index_put_({tokens}, rows, /*accumulate=*/true);
    }
    return {result};
  }
  std::string name() const override { return "Embed"; }
};

struct HeadLossNode : autograd::Node {
  const Norm* norm = nullptr;
  double norm_scale = 1;
  at::Tensor rows, row_index;               // the target rows
  Norm::Statistics statistics;              // of them
  at::Tensor normalized_gradient;           // of the loss, by the norm's scaled output
  at::Tensor head_gradient, bias_gradient;  // float32, undefined when they are frozen
  std::shared_ptr<TiedGradient> tied;
  int64_t tokens = 0;

  // Outputs: by x, head unless it is tied (see TiedGradient), bias if it trains, and norm.
  autograd::variable_list apply(autograd::variable_list&& gradients) override {
    TORCH_CHECK(rows.defined(), "backward ran twice through the loss without retain_graph");
    at::NoGradGuard no_grad;
    const at::Tensor scale = gradients[0];
    autograd::variable_list result(tied == nullptr ? 2 : 1);
    if (head_gradient.defined()) {
      at::Tensor scaled = release_ ? head_gradient.mul_(scale) : head_gradient * scale;
      if (tied != nullptr) {
        tied->value = scaled;
      } else {
        result[1] = scaled;
      }
      if (release_) head_gradient.reset();
    }
    if (bias_gradient.defined()) result.push_back(bias_gradient * scale);
    if (!normalized_gradient.defined()) {
      result.resize(num_outputs());
      return result;
    }
    const at::Tensor dnormalized =
        normalized_gradient * (scale * norm_scale).to(normalized_gradient.scalar_type());
    at::Tensor drows = at::zeros_like(rows);
    norm->Backward(dnormalized, rows, statistics, drows, result);
    if (should_compute_output(0)) {
      result[0] = at::zeros({tokens, rows.size(1)}, rows.options()).index_add_(0, row_index, drows);
    }
    return result;
  }
  // The engine releases after apply; only then may apply reuse the large gradient in place.
  void will_release_variables() override { release_ = true; }
  void release_variables() override {
    for (at::Tensor* tensor : {&rows, &normalized_gradient, &head_gradient, &bias_gradient}) {
      tensor->reset();
    }
  }
  std::string name() const override { return "HeadLoss"; }

 private:
  bool release_ = false;
};

}  // namespace

at::Tensor Embed(const at::Tensor& tokens, const Embedding& embedding, at::ScalarType dtype,
                 const std::shared_ptr<TiedGradient>& tied) {
  Embedding plain = embedding;
  plain.weight = embedding.weight.detach();
  plain.scale = at::scalar_tensor(embedding.scale, dtype).item<double>();
  at::Tensor out;
  {
    at::NoGradGuard no_grad;
    out = plain.weight.index_select(0, tokens).to(dtype);
    if (plain.scale != 1) out.mul_(plain.scale);
  }
  if (at::GradMode::is_enabled() && embedding.weight.requires_grad()) {
    auto node = std::shared_ptr<EmbedNode>(new EmbedNode(), autograd::deleteNode);
    node->tokens = tokens;
    node->embedding = std::move(plain);
    node->tied = tied;
    node->set_next_edges(autograd::collect_next_edges(embedding.weight));
    autograd::set_history(out, node);
  }
  return out;
}

void CheckTargets(const PackedBatch& batch, int64_t vocabulary) {
  if (!batch.targets.is_cpu() || batch.targets.numel() == 0) return;
  TORCH_CHECK_INDEX(
      batch.targets.min().item<int64_t>() >= 0 && batch.targets.max().item<int64_t>() < vocabulary,
      "a target token is outside the vocabulary of ", vocabulary);
}

at::Tensor HeadLossSum(const at::Tensor& x, const OutputHead& head, const PackedBatch& batch,
                       const std::shared_ptr<TiedGradient>& tied, const at::Tensor& weights) {
  CheckTargets(batch, head.weight.size(0));
  const std::vector<at::Tensor> norm_parameters = head.norm.Trainable();
  const bool bias_trains = head.bias.defined() && head.bias.requires_grad();
  autograd::variable_list inputs = {x};
  if (tied == nullptr) inputs.push_back(head.weight);
  if (bias_trains) inputs.push_back(head.bias);
  inputs.insert(inputs.end(), norm_parameters.begin(), norm_parameters.end());
  const bool records =
      at::GradMode::is_enabled() &&
      (autograd::any_variable_requires_grad(inputs) || head.weight.requires_grad());
  at::NoGradGuard no_grad;
  const at::Tensor rows = x.detach().index_select(0, batch.target_rows);
  Norm::Statistics statistics;
  at::Tensor normalized = head.norm.Forward(rows, &statistics);
  if (head.scale != 1) normalized.mul_(head.scale);
  kernels::HeadOptions options{.weights = weights, .softcap = head.softcap};
  if (head.bias.defined()) options.bias = head.bias.detach();
  options.hidden_gradient = records && (x.requires_grad() || !norm_parameters.empty());
  const auto floats = head.weight.options().dtype(at::kFloat).requires_grad(false);
  if (records && head.weight.requires_grad()) {
    options.weight_gradient = at::empty(head.weight.sizes(), floats);
  }
  if (records && bias_trains) options.bias_gradient = at::empty(head.bias.sizes(), floats);
  kernels::HeadLoss result = kernels::LinearCrossEntropy(
      normalized, head.weight.detach().to(x.scalar_type()), batch.targets, options);
  if (records) {
    auto node = std::shared_ptr<HeadLossNode>(new HeadLossNode(), autograd::deleteNode);
    node->norm = &head.norm;
    node->norm_scale = head.scale;
    node->rows = rows;
    node->row_index = batch.target_rows;
    node->statistics = statistics;
    node->normalized_gradient = result.hidden_gradient;
    node->head_gradient = options.weight_gradient;
    node->bias_gradient = options.bias_gradient;
    node->tied = tied;
    node->tokens = x.size(0);
    node->set_next_edges(autograd::collect_next_edges(inputs));
    autograd::set_history(result.loss, node);
  }
  return result.loss;
}

}  // namespace attune::engine
