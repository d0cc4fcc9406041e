#include "worker/engine/optim/weight_average.h"

#include <ATen/ATen.h>

#include "worker/engine/optim/optimizer.h"

namespace attune::engine {

WeightAverage::WeightAverage(NamedTensors parameters, double decay)
    : parameters_(std::move(parameters)), decay_(decay), averages_(ZerosLike(parameters_)) {
  for (size_t p = 0; p < averages_.size(); ++p) {
    averages_[p].copy_(parameters_[p].second.detach());
  }
}

void WeightAverage::Update(int step) {
  at::NoGradGuard no_grad;
  for (size_t p = 0; p < averages_.size(); ++p) {
    const at::Tensor parameter = parameters_[p].second.detach();
    if (step == 1) {
      averages_[p].copy_(parameter);
    } else {
      averages_[p].lerp_(parameter, 1 - decay_);
    }
  }
}

void WeightAverage::Swap() {
  at::NoGradGuard no_grad;
  for (size_t p = 0; p < averages_.size(); ++p) {
    const at::Tensor parameter = parameters_[p].second.detach();
    const at::Tensor held = parameter.clone();
    parameter.copy_(averages_[p]);
    averages_[p].copy_(held);
  }
}

NamedTensors WeightAverage::Values() const {
  NamedTensors values;
  for (size_t p = 0; p < averages_.size(); ++p) {
    values.emplace_back(parameters_[p].first, averages_[p]);
  }
  return values;
}

NamedTensors WeightAverage::State() const {
  NamedTensors state;
  AppendState("ema", parameters_, averages_, state);
  return state;
}

}  // namespace attune::engine
