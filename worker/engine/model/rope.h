#pragma once

// Rotary position embeddings: inverse frequencies of each scaling (transformers 5,
// modeling_rope_utils.py). No torch here.

#include <cstdint>
#include <span>
#include <vector>

#include "common/model/llama_config.h"

namespace attune::engine {

struct RopeFrequencies {
  std::vector<float> inverse;  // [head_dim / 2]
  float scaling = 1;           // cos and sin are multiplied by it (yarn)
};

// For sequences of `length` tokens; only dynamic scaling depends on it, beyond max_positions.
RopeFrequencies ComputeRope(const LlamaConfig& config, int64_t length);

}  // namespace attune::engine
