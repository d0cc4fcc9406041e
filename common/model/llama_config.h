#pragma once

// config.json of a Llama-family model.

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/status.h"

namespace attune {

// Rotary position embedding and its scaling, as transformers 5 reads `rope_parameters` or the older
// `rope_scaling`.
struct RopeConfig {
  std::string type = "default";  // or "linear", "dynamic", "llama3", "yarn"
  double theta = 10000;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;                // llama3
  int64_t original_max_positions = 0;                              // llama3, yarn
  double beta_fast = 32, beta_slow = 1;                            // yarn
  std::optional<double> attention_factor, mscale, mscale_all_dim;  // yarn
  bool truncate = true;                                            // yarn
};

struct LlamaConfig {
  int64_t vocabulary_size = 32000;
  int64_t hidden_size = 4096;
  int64_t intermediate_size = 11008;
  int64_t layers = 32;
  int64_t heads = 32;
  int64_t kv_heads = 32;
  int64_t head_dim = 128;
  int64_t max_positions = 2048;
  double rms_norm_eps = 1e-6;
  bool tied_embeddings = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  RopeConfig rope;
  std::string json;  // what transformers loads, as it was read

  int64_t q_size() const { return heads * head_dim; }
  int64_t kv_size() const { return kv_heads * head_dim; }
};

// Missing fields have transformers' defaults. kInvalidArgument names the field: unknown
// architecture, activation or RoPE type (with the supported ones), sizes that do not fit each other
// or are unreasonable.
Result<LlamaConfig> ParseLlamaConfig(const std::string& json, const std::string& where);

// config.json to be written beside weights of this dtype ("float32", "bfloat16" or "float16").
std::string ConfigJson(const LlamaConfig& config, const std::string& dtype);

}  // namespace attune
