#pragma once

// Which tensors a model of the Llama family, or a LoRA adapter on it, has: names as in Hugging
// Face checkpoints, and shapes as torch has them.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/model/llama_config.h"
#include "common/model/lora_config.h"

namespace attune {

struct TensorInfo {
  std::string dtype;           // as stored: "F32", "F16", "BF16", "Q4_1", ...
  std::vector<int64_t> shape;  // row-major, as torch has it
  int64_t elements() const;
  int64_t rows() const { return shape.size() < 2 ? 1 : shape[0]; }
};
using TensorInfos = std::map<std::string, TensorInfo>;

// A shape for messages: "[2, 3]".
std::string ShapeText(const std::vector<int64_t>& shape);

// The linear layers that can have an adapter ("model.layers.0.self_attn.q_proj"), in the order of
// the model.
std::vector<std::string> LinearModules(const LlamaConfig& config);

// The parameters' names; a tied output projection is not one.
std::vector<std::string> LlamaTensorNames(const LlamaConfig& config);

// The narrowest of float32, bfloat16 and float16 that a copy of the tensors needs: what all
// matrices are stored in, else float32. (In GGUF files of 16 bits the norms are float32, made from
// 16 bits.)
std::string DtypeOf(const TensorInfos& tensors);

// kInvalidArgument names a tensor that is missing, has another shape than the configuration wants,
// a type that cannot be read as weights, or no place in the configuration. `where` is the file or
// folder, for messages.
Status CheckLlamaTensors(const LlamaConfig& config, const TensorInfos& found,
                         const std::string& where);
// The same for an adapter's tensors, under their peft names.
Status CheckLoraTensors(const LlamaConfig& config, const LoraConfig& lora, const TensorInfos& found,
                        const std::string& where);

}  // namespace attune
