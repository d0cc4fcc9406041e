#pragma once

// The inner loop of AdamW. No torch here.

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

// One pass over `size` elements; the arrays do not overlap.
void ApplyAdamW(const AdamWUpdate& update, float* parameter, float* first, float* second,
                const float* gradient, int64_t size);

}  // namespace attune::engine
