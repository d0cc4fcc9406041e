#include "worker/engine/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

namespace attune::engine {

AdamWUpdate MakeAdamWUpdate(const OptimizerOptions& options, double weight_decay, int step,
                            double learning_rate, double gradient_factor) {
  const double correction1 = 1 - std::pow(options.beta1, step);
  const double correction2 = 1 - std::pow(options.beta2, step);
  return {.keep = static_cast<float>(1 - learning_rate * weight_decay),
          .beta2 = static_cast<float>(options.beta2),
          .first_weight = static_cast<float>(1 - options.beta1),
          .second_weight = static_cast<float>(1 - options.beta2),
          .root_correction = static_cast<float>(std::sqrt(correction2)),
          .epsilon = static_cast<float>(options.epsilon),
          .step_size = static_cast<float>(learning_rate / correction1),
          .gradient_factor = static_cast<float>(gradient_factor)};
}

AdamW::AdamW(NamedTensors parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)),
      options_(options),
      first_(ZerosLike(parameters_)),
      second_(ZerosLike(parameters_)) {}

void AdamW::Step(int step, double learning_rate, double gradient_factor) {
  at::NoGradGuard no_grad;
  if (parameters_.empty()) return;
  if (TakesOurLoops(parameters_.front().second)) {
    StepOnCpu(step, learning_rate, gradient_factor);
  } else {
    StepOnDevice(step, learning_rate, gradient_factor);
  }
}

void AdamW::StepOnCpu(int step, double learning_rate, double gradient_factor) {
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const auto& [name, parameter] = parameters_[p];
    const AdamWUpdate update = MakeAdamWUpdate(options_, WeightDecayOf(name, options_), step,
                                               learning_rate, gradient_factor);
    const at::Tensor gradient = GradientOf(parameter);
    float* const values = parameter.data_ptr<float>();
    float* const first = first_[p].data_ptr<float>();
    float* const second = second_[p].data_ptr<float>();
    const float* const g = gradient.const_data_ptr<float>();
    at::parallel_for(0, parameter.numel(), kUpdateGrain, [&](int64_t begin, int64_t end) {
      ApplyAdamW(update, values + begin, first + begin, second + begin, g + begin, end - begin);
    });
  }
}

void AdamW::StepOnDevice(int step, double learning_rate, double gradient_factor) {
  // The kernel divides gradients by the scale.
  const at::TensorOptions options = parameters_.front().second.options().requires_grad(false);
  const at::Tensor scale = at::full({}, 1 / gradient_factor, options);
  StepGroup(/*decays=*/true, step, learning_rate, scale);
  StepGroup(/*decays=*/false, step, learning_rate, scale);
}

void AdamW::StepGroup(bool decays, int step, double learning_rate, const at::Tensor& scale) {
  std::vector<at::Tensor> parameters, gradients, first, second;
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const auto& [name, parameter] = parameters_[p];
    if (Decays(name) != decays) continue;
    parameters.push_back(parameter.detach());
    gradients.push_back(parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter));
    first.push_back(first_[p]);
    second.push_back(second_[p]);
  }
  if (parameters.empty()) return;
  // The kernel takes the number of the update that it makes, for each parameter, and only reads it.
  const std::vector<at::Tensor> steps(parameters.size(), at::full({}, step, scale.options()));
  at::_fused_adamw_(parameters, gradients, first, second, {}, steps, learning_rate, options_.beta1,
                    options_.beta2, decays ? options_.weight_decay : 0, options_.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false, scale, std::nullopt);
}

NamedTensors AdamW::State() const {
  NamedTensors state;
  AppendState("exp_avg", parameters_, first_, state);
  AppendState("exp_avg_sq", parameters_, second_, state);
  return state;
}

}  // namespace attune::engine
