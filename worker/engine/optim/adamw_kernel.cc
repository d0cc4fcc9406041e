#include "worker/engine/optim/adamw_kernel.h"

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

}  // namespace attune::engine
