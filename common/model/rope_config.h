#pragma once

// Rotary position embedding and its scaling, as transformers 5 reads `rope_parameters` or the older
// `rope_scaling` (modeling_rope_utils.py).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/model/fields.h"

namespace attune {

struct RopeConfig {
  std::string type = "default";  // or "linear", "dynamic", "llama3", "yarn", "longrope"
  double theta = 10000;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;                // llama3
  int64_t original_max_positions = 0;                              // llama3, yarn, longrope
  double beta_fast = 32, beta_slow = 1;                            // yarn
  std::optional<double> attention_factor, mscale, mscale_all_dim;  // yarn
  bool truncate = true;                                            // yarn
  std::vector<double> short_factors, long_factors;                 // longrope: dim / 2 of each
  int64_t dim = 0;            // how many of a head's first features are rotated; even
  int64_t max_positions = 0;  // of the model; "dynamic" stretches beyond it
};

// What both shapes of the file say, for heads of head_dim features. kInvalidArgument names the
// field.
Result<RopeConfig> ParseRope(const FieldReader& root, double theta, int64_t head_dim,
                             int64_t max_positions);
// The same out of one object: a layer type's of `rope_parameters`, say. May be empty.
Result<RopeConfig> ParseRopeObject(const nlohmann::json& object, const std::string& where,
                                   const RopeConfig& defaults, int64_t head_dim);

}  // namespace attune
