#pragma once

// The Hugging Face config.json of a GGUF file, out of its metadata, as transformers derives it
// (modeling_gguf_pytorch_utils.py); and what transformers leaves out although the weights need it:
// RoPE scaling and biases.

#include <cstdint>
#include <nlohmann/json.hpp>

#include "common/base/status.h"
#include "common/gguf/gguf.h"

namespace attune {

struct LlamaSizes {
  int64_t hidden = 0, intermediate = 0, layers = 0, heads = 0, key_value_heads = 0, head_dim = 0;
  int64_t vocabulary = 0, positions = 0;
};

// kInvalidArgument when the architecture is not llama, when a key is missing, or when a size is
// absurd.
Result<LlamaSizes> ReadLlamaSizes(const gguf::File& file);

Result<nlohmann::ordered_json> LlamaConfigOf(const gguf::File& file);

}  // namespace attune
