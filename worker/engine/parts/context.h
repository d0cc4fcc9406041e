#pragma once

// What the parts of one forward share.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "worker/engine/kernels/attention.h"
#include "worker/engine/kernels/pointwise.h"

namespace attune::engine {

struct RopeRows {
  at::Tensor cos, sin;  // float32 [T, rotated features / 2]
};

struct ForwardContext {
  // What layers read beside their input and share; both may have gradients. Undefined: nothing.
  at::Tensor distance_bias;                      // of scores; see kernels::Attention
  at::Tensor encoded;                            // an encoder's rows [S, H], which belong to ...
  std::shared_ptr<const ForwardContext> source;  // ... this one's spans and places

  std::vector<RopeRows> ropes;  // of each of the model's
  kernels::ExampleSpans spans;
  std::optional<kernels::RowPlaces> places;  // of the rows, for dropout; unset: none is dropped
  uint64_t seed = 0;                         // of dropout, for this step
  // So many of a stack's first layers keep their input only; backward runs their forward again.
  int64_t checkpointed_layers = 0;
};
using SharedContext = std::shared_ptr<const ForwardContext>;

}  // namespace attune::engine
