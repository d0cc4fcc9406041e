#include "worker/engine/optim/update_kernels.h"

#include <cmath>

namespace attune::engine {

void ApplyAdamW(const AdamWUpdate& u, float* __restrict parameter, float* __restrict first,
                float* __restrict second, const float* __restrict gradient, int64_t size) {
  for (int64_t i = 0; i < size; ++i) {
    const float g = gradient[i] * u.gradient_factor;
    first[i] += u.first_weight * (g - first[i]);
    second[i] = second[i] * u.beta2 + u.second_weight * g * g;
    const float denominator = std::sqrt(second[i]) / u.root_correction + u.epsilon;
    parameter[i] = parameter[i] * u.keep - u.step_size * (first[i] / denominator);
  }
}

void ApplySgd(const SgdUpdate& u, float* __restrict parameter, float* __restrict velocity,
              const float* __restrict gradient, int64_t size) {
  if (velocity == nullptr) {
    for (int64_t i = 0; i < size; ++i) {
      const float g = gradient[i] * u.gradient_factor + u.weight_decay * parameter[i];
      parameter[i] -= u.learning_rate * g;
    }
    return;
  }
  for (int64_t i = 0; i < size; ++i) {
    const float g = gradient[i] * u.gradient_factor + u.weight_decay * parameter[i];
    velocity[i] = velocity[i] * u.momentum + g;
    parameter[i] -= u.learning_rate * velocity[i];
  }
}

void ApplyLion(const LionUpdate& u, float* __restrict parameter, float* __restrict average,
               const float* __restrict gradient, int64_t size) {
  for (int64_t i = 0; i < size; ++i) {
    const float g = gradient[i] * u.gradient_factor;
    const float mixed = average[i] * u.beta1 + u.direction_weight * g;
    const float sign = static_cast<float>(mixed > 0) - static_cast<float>(mixed < 0);
    parameter[i] = parameter[i] * u.keep - u.learning_rate * sign;
    average[i] = average[i] * u.beta2 + u.average_weight * g;
  }
}

}  // namespace attune::engine
