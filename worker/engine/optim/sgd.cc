#include "worker/engine/optim/sgd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "worker/engine/optim/update_kernels.h"

namespace attune::engine {

Sgd::Sgd(NamedTensors parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)),
      options_(options),
      velocity_(options.momentum > 0 ? ZerosLike(parameters_) : std::vector<at::Tensor>()) {}

void Sgd::Step(int /*step*/, double learning_rate, double gradient_factor) {
  at::NoGradGuard no_grad;
  for (size_t p = 0; p < parameters_.size(); ++p) {
    if (TakesOurLoops(parameters_[p].second)) {
      StepOnCpu(p, learning_rate, gradient_factor);
    } else {
      StepOnDevice(p, learning_rate, gradient_factor);
    }
  }
}

void Sgd::StepOnCpu(size_t p, double learning_rate, double gradient_factor) {
  const auto& [name, parameter] = parameters_[p];
  const SgdUpdate update{.weight_decay = static_cast<float>(WeightDecayOf(name, options_)),
                         .momentum = static_cast<float>(options_.momentum),
                         .learning_rate = static_cast<float>(learning_rate),
                         .gradient_factor = static_cast<float>(gradient_factor)};
  const at::Tensor gradient = GradientOf(parameter);
  float* const values = parameter.data_ptr<float>();
  float* const velocity = velocity_.empty() ? nullptr : velocity_[p].data_ptr<float>();
  const float* const g = gradient.const_data_ptr<float>();
  at::parallel_for(0, parameter.numel(), kUpdateGrain, [&](int64_t begin, int64_t end) {
    ApplySgd(update, values + begin, velocity == nullptr ? nullptr : velocity + begin, g + begin,
             end - begin);
  });
}

void Sgd::StepOnDevice(size_t p, double learning_rate, double gradient_factor) {
  const auto& [name, named] = parameters_[p];
  const at::Tensor parameter = named.detach();
  at::Tensor direction = GradientOf(named) * gradient_factor;
  direction.add_(parameter, WeightDecayOf(name, options_));
  if (!velocity_.empty()) {
    at::Tensor velocity = velocity_[p];
    direction = velocity.mul_(options_.momentum).add_(direction);
  }
  parameter.add_(direction, -learning_rate);
}

NamedTensors Sgd::State() const {
  NamedTensors state;
  AppendState("momentum_buffer", parameters_, velocity_, state);
  return state;
}

}  // namespace attune::engine
