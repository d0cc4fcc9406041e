#include "worker/engine/optim/adamw.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "worker/engine/optim/adamw_kernel.h"
#include "worker/engine/parallel/pages.h"

namespace attune::engine {
namespace {

constexpr int64_t kGrain = 1 << 15;

AdamWUpdate MakeUpdate(const OptimizerOptions& options, int step, double learning_rate,
                       double gradient_factor) {
  const double correction1 = 1 - std::pow(options.beta1, step);
  const double correction2 = 1 - std::pow(options.beta2, step);
  return {.keep = static_cast<float>(1 - learning_rate * options.weight_decay),
          .beta2 = static_cast<float>(options.beta2),
          .first_weight = static_cast<float>(1 - options.beta1),
          .second_weight = static_cast<float>(1 - options.beta2),
          .root_correction = static_cast<float>(std::sqrt(correction2)),
          .epsilon = static_cast<float>(options.epsilon),
          .step_size = static_cast<float>(learning_rate / correction1),
          .gradient_factor = static_cast<float>(gradient_factor)};
}

}  // namespace

AdamW::AdamW(NamedTensors parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const auto& [name, parameter] : parameters_) {
    ATTUNE_CHECK(parameter.is_contiguous() && parameter.scalar_type() == at::kFloat);
    first_.push_back(ZeroPages(parameter.sizes(), parameter));
    second_.push_back(ZeroPages(parameter.sizes(), parameter));
  }
}

void AdamW::Step(int step, double learning_rate, double gradient_factor) {
  at::NoGradGuard no_grad;
  if (parameters_.empty()) return;
  if (parameters_.front().second.is_cpu()) {
    StepOnCpu(step, learning_rate, gradient_factor);
  } else {
    StepOnDevice(step, learning_rate, gradient_factor);
  }
}

void AdamW::StepOnCpu(int step, double learning_rate, double gradient_factor) {
  const AdamWUpdate update = MakeUpdate(options_, step, learning_rate, gradient_factor);
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const at::Tensor& parameter = parameters_[p].second;
    const at::Tensor& grad = parameter.grad();
    const at::Tensor gradient = grad.defined() ? grad.contiguous() : at::zeros_like(parameter);
    float* const values = parameter.data_ptr<float>();
    float* const first = first_[p].data_ptr<float>();
    float* const second = second_[p].data_ptr<float>();
    const float* const g = gradient.const_data_ptr<float>();
    at::parallel_for(0, parameter.numel(), kGrain, [&](int64_t begin, int64_t end) {
      ApplyAdamW(update, values + begin, first + begin, second + begin, g + begin, end - begin);
    });
  }
}

void AdamW::StepOnDevice(int step, double learning_rate, double gradient_factor) {
  std::vector<at::Tensor> parameters, gradients, steps;
  for (const auto& [name, parameter] : parameters_) {
    parameters.push_back(parameter.detach());
    gradients.push_back(parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter));
    // The kernel takes the number of the update that it makes.
    steps.push_back(at::full({}, step, parameter.options().requires_grad(false)));
  }
  // The kernel divides gradients by the scale.
  const at::Tensor scale =
      at::full({}, 1 / gradient_factor, parameters.front().options().requires_grad(false));
  at::_fused_adamw_(parameters, gradients, first_, second_, {}, steps, learning_rate,
                    options_.beta1, options_.beta2, options_.weight_decay, options_.epsilon,
                    /*amsgrad=*/false,
                    /*maximize=*/false, scale, std::nullopt);
}

NamedTensors AdamW::State() const {
  NamedTensors state;
  for (size_t p = 0; p < parameters_.size(); ++p) {
    state.emplace_back("exp_avg." + parameters_[p].first, first_[p]);
    state.emplace_back("exp_avg_sq." + parameters_[p].first, second_[p]);
  }
  return state;
}

}  // namespace attune::engine
