#include "worker/engine/parts/record.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <utility>

namespace attune::engine {
namespace {

namespace autograd = torch::autograd;

struct PartNode : autograd::Node {
  const char* part = "";
  BackwardOf backward;

  autograd::variable_list apply(autograd::variable_list&& gradients) override {
    TORCH_CHECK(backward, "backward ran twice through ", part, " without retain_graph");
    at::NoGradGuard no_grad;
    return backward(gradients[0].contiguous(),
                    [this](size_t input) { return should_compute_output(input); });
  }
  void release_variables() override { backward = nullptr; }
  std::string name() const override { return part; }
};

}  // namespace

bool Records(const Tensors& inputs) {
  return at::GradMode::is_enabled() && autograd::any_variable_requires_grad(inputs);
}

void Record(const char* name, const at::Tensor& out, const Tensors& inputs, BackwardOf backward) {
  auto node = std::shared_ptr<PartNode>(new PartNode(), autograd::deleteNode);
  node->part = name;
  node->backward = std::move(backward);
  node->set_next_edges(autograd::collect_next_edges(inputs));
  autograd::set_history(out, node);
}

at::Tensor Checkpointed(const at::Tensor& x, const Tensors& parameters,
                        std::function<at::Tensor(const at::Tensor&)> forward) {
  Tensors inputs = {x};
  inputs.insert(inputs.end(), parameters.begin(), parameters.end());
  at::Tensor out;
  {
    at::NoGradGuard no_grad;
    out = forward(x.detach());
  }
  if (!Records(inputs)) return out;
  Record("Checkpointed", out, inputs,
         [x = x.detach(), parameters, forward = std::move(forward)](
             const at::Tensor& dy, const std::function<bool(size_t)>& wanted) {
           at::AutoGradMode grad(true);
           const bool want_dx = wanted(0);
           const at::Tensor again = x.detach().requires_grad_(want_dx);
           Tensors by;
           if (want_dx) by.push_back(again);
           by.insert(by.end(), parameters.begin(), parameters.end());
           Tensors gradients = autograd::grad({forward(again)}, by, {dy}, /*retain_graph=*/false,
                                              /*create_graph=*/false, /*allow_unused=*/true);
           if (!want_dx) gradients.insert(gradients.begin(), at::Tensor());
           return gradients;
         });
  return out;
}

}  // namespace attune::engine
