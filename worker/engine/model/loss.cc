#include "worker/engine/model/loss.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include "worker/engine/kernels/cross_entropy.h"
#include "worker/engine/kernels/pointwise.h"

namespace attune::engine {
namespace {

namespace autograd = torch::autograd;

struct EmbedNode : autograd::Node {
  at::Tensor tokens, weight;
  std::shared_ptr<TiedGradient> tied;

  autograd::variable_list apply(autograd::variable_list&& gradients) override {
    at::NoGradGuard no_grad;
    at::Tensor result =
        tied != nullptr && tied->value.defined() ? std::move(tied->value) : at::zeros_like(weight);
    if (tied != nullptr) tied->value.reset();
    const at::Tensor rows = gradients[0].to(result.scalar_type());
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
  at::Tensor rows, row_index, norm, rstd;  // of the target rows
  at::Tensor normalized_gradient;          // of the loss, by the norm's output
  at::Tensor head_gradient;                // float32, undefined when the head is frozen
  std::shared_ptr<TiedGradient> tied;
  int64_t tokens = 0;
  bool norm_trains = false;

  // Outputs: by x, norm, and head unless it is tied (see TiedGradient).
  autograd::variable_list apply(autograd::variable_list&& gradients) override {
    TORCH_CHECK(rows.defined(), "backward ran twice through the loss without retain_graph");
    at::NoGradGuard no_grad;
    const at::Tensor scale = gradients[0];
    autograd::variable_list result(tied == nullptr ? 3 : 2);
    if (head_gradient.defined()) {
      at::Tensor scaled = release_ ? head_gradient.mul_(scale) : head_gradient * scale;
      if (tied != nullptr) {
        tied->value = scaled;
      } else {
        result[2] = scaled;
      }
      if (release_) head_gradient.reset();
    }
    if (!normalized_gradient.defined()) return result;
    const at::Tensor dnormalized =
        normalized_gradient * scale.to(normalized_gradient.scalar_type());
    at::Tensor drows = at::zeros_like(rows);
    at::Tensor dnorm = norm_trains ? at::zeros_like(norm) : at::Tensor();
    kernels::RmsNormBackward(dnormalized, rows, norm, rstd, drows, dnorm);
    if (should_compute_output(0)) {
      result[0] = at::zeros({tokens, rows.size(1)}, rows.options()).index_add_(0, row_index, drows);
    }
    result[1] = dnorm;
    return result;
  }
  // The engine releases after apply; only then may apply reuse the large gradient in place.
  void will_release_variables() override { release_ = true; }
  void release_variables() override {
    for (at::Tensor* tensor : {&rows, &normalized_gradient, &head_gradient}) tensor->reset();
  }
  std::string name() const override { return "HeadLoss"; }

 private:
  bool release_ = false;
};

}  // namespace

at::Tensor Embed(const at::Tensor& tokens, const at::Tensor& weight, at::ScalarType dtype,
                 const std::shared_ptr<TiedGradient>& tied) {
  at::Tensor out;
  {
    at::NoGradGuard no_grad;
    out = weight.detach().index_select(0, tokens).to(dtype);
  }
  if (at::GradMode::is_enabled() && weight.requires_grad()) {
    auto node = std::shared_ptr<EmbedNode>(new EmbedNode(), autograd::deleteNode);
    node->tokens = tokens;
    node->weight = weight.detach();
    node->tied = tied;
    node->set_next_edges(autograd::collect_next_edges(weight));
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

at::Tensor HeadLossSum(const at::Tensor& x, const at::Tensor& norm, double eps,
                       const at::Tensor& head, const PackedBatch& batch,
                       const std::shared_ptr<TiedGradient>& tied) {
  CheckTargets(batch, head.size(0));
  const bool records =
      at::GradMode::is_enabled() && autograd::any_variable_requires_grad({x, norm, head});
  const bool wants_hidden = records && autograd::any_variable_requires_grad({x, norm});
  at::NoGradGuard no_grad;
  const at::Tensor rows = x.detach().index_select(0, batch.target_rows);
  const kernels::Normalized normalized = kernels::RmsNorm(rows, norm, eps);
  at::Tensor head_gradient;
  if (records && head.requires_grad()) {
    head_gradient = at::empty(head.sizes(), head.options().dtype(at::kFloat).requires_grad(false));
  }
  kernels::HeadLoss result =
      kernels::LinearCrossEntropy(normalized.value, head.detach().to(x.scalar_type()),
                                  batch.targets, wants_hidden, head_gradient);
  if (records) {
    auto node = std::shared_ptr<HeadLossNode>(new HeadLossNode(), autograd::deleteNode);
    node->rows = rows;
    node->row_index = batch.target_rows;
    node->norm = norm.detach();
    node->rstd = normalized.rstd;
    node->normalized_gradient = result.hidden_gradient;
    node->head_gradient = head_gradient;
    node->tied = tied;
    node->tokens = x.size(0);
    node->norm_trains = norm.requires_grad();
    autograd::variable_list inputs = {x, norm};
    if (tied == nullptr) inputs.push_back(head);
    node->set_next_edges(autograd::collect_next_edges(inputs));
    autograd::set_history(result.loss, node);
  }
  return result.loss;
}

}  // namespace attune::engine
