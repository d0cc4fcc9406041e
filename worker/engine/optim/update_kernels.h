#pragma once

// The inner loops of the optimizers: one pass over `size` elements of arrays that do not overlap.
// No torch here.

#include <cstdint>

namespace attune::engine {

// The constants of one update, rounded to float where torch rounds them.
struct AdamWUpdate {
  float keep;  // 1 - learning rate x weight decay
  float beta2;
  float first_weight;     // 1 - beta1
  float second_weight;    // 1 - beta2
  float root_correction;  // sqrt(1 - beta2^step)
  float epsilon;
  float step_size;  // learning rate / (1 - beta1^step)
  float gradient_factor;
};
void ApplyAdamW(const AdamWUpdate& update, float* parameter, float* first, float* second,
                const float* gradient, int64_t size);

struct SgdUpdate {
  float weight_decay;
  float momentum;
  float learning_rate;
  float gradient_factor;
};
// velocity is null without momentum.
void ApplySgd(const SgdUpdate& update, float* parameter, float* velocity, const float* gradient,
              int64_t size);

struct LionUpdate {
  float keep;  // 1 - learning rate x weight decay
  float beta1, beta2;
  float direction_weight;  // 1 - beta1
  float average_weight;    // 1 - beta2
  float learning_rate;
  float gradient_factor;
};
void ApplyLion(const LionUpdate& update, float* parameter, float* average, const float* gradient,
               int64_t size);

}  // namespace attune::engine
