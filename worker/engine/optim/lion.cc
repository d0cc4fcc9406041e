#include "worker/engine/optim/lion.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "worker/engine/optim/update_kernels.h"

namespace attune::engine {

Lion::Lion(NamedTensors parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)), options_(options), average_(ZerosLike(parameters_)) {}

void Lion::Step(int /*step*/, double learning_rate, double gradient_factor) {
  at::NoGradGuard no_grad;
  for (size_t p = 0; p < parameters_.size(); ++p) {
    if (TakesOurLoops(parameters_[p].second)) {
      StepOnCpu(p, learning_rate, gradient_factor);
    } else {
      StepOnDevice(p, learning_rate, gradient_factor);
    }
  }
}

void Lion::StepOnCpu(size_t p, double learning_rate, double gradient_factor) {
  const auto& [name, parameter] = parameters_[p];
  const LionUpdate update{
      .keep = static_cast<float>(1 - learning_rate * WeightDecayOf(name, options_)),
      .beta1 = static_cast<float>(options_.beta1),
      .beta2 = static_cast<float>(options_.beta2),
      .direction_weight = static_cast<float>(1 - options_.beta1),
      .average_weight = static_cast<float>(1 - options_.beta2),
      .learning_rate = static_cast<float>(learning_rate),
      .gradient_factor = static_cast<float>(gradient_factor)};
  const at::Tensor gradient = GradientOf(parameter);
  float* const values = parameter.data_ptr<float>();
  float* const average = average_[p].data_ptr<float>();
  const float* const g = gradient.const_data_ptr<float>();
  at::parallel_for(0, parameter.numel(), kUpdateGrain, [&](int64_t begin, int64_t end) {
    ApplyLion(update, values + begin, average + begin, g + begin, end - begin);
  });
}

void Lion::StepOnDevice(size_t p, double learning_rate, double gradient_factor) {
  const auto& [name, named] = parameters_[p];
  const at::Tensor parameter = named.detach();
  at::Tensor average = average_[p];
  const at::Tensor gradient = GradientOf(named) * gradient_factor;
  parameter.mul_(1 - learning_rate * WeightDecayOf(name, options_));
  const at::Tensor direction = average.mul(options_.beta1).add_(gradient, 1 - options_.beta1);
  parameter.add_(direction.sign_(), -learning_rate);
  average.mul_(options_.beta2).add_(gradient, 1 - options_.beta2);
}

NamedTensors Lion::State() const {
  NamedTensors state;
  AppendState("exp_avg", parameters_, average_, state);
  return state;
}

}  // namespace attune::engine
