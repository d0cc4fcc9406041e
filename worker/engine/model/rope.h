#pragma once

// Rotary position embeddings: inverse frequencies of each scaling (transformers 5,
// modeling_rope_utils.py). No torch here.

#include <cstdint>
#include <span>
#include <vector>

#include "common/model/rope_config.h"

namespace attune::engine {

struct RopeFrequencies {
  std::vector<float> inverse;  // [dim / 2]
  float scaling = 1;           // cos and sin are multiplied by it (yarn, longrope)
};

// For sequences of `length` tokens; only dynamic and long scaling depend on it, beyond the
// positions of the model and of its pretraining.
RopeFrequencies ComputeRope(const RopeConfig& rope, int64_t length);

}  // namespace attune::engine
