#pragma once

// What the tensors of a GGUF file of the Llama family are called in a Hugging Face checkpoint. The
// names are those of gguf-py's constants (TENSOR_NAMES) and of transformers' LlamaForCausalLM.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/gguf/gguf.h"

namespace attune {

struct LlamaTensorName {
  std::string name;   // empty: not a parameter (rotary frequencies), to be left out
  int64_t heads = 0;  // > 0: rows are permuted within this many heads
};

// kInvalidArgument for a name that Llama does not have, or a layer that is not below `layers`.
Result<LlamaTensorName> LlamaNameOf(std::string_view gguf_name, int64_t layers, int64_t heads,
                                    int64_t key_value_heads);

struct LlamaTensor {
  const gguf::Tensor* tensor;  // in the file
  int64_t heads;               // as above
};

// The parameters of the file by their Hugging Face names. Also kInvalidArgument when the file's
// sizes are wrong (ReadLlamaSizes) or when rows cannot be permuted within their heads.
Result<std::map<std::string, LlamaTensor>> LlamaTensorsOf(const gguf::File& file);

}  // namespace attune
