#pragma once

// Model weights and configuration as Hugging Face names them, whatever file holds them. No torch
// here.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune::engine {

struct TensorInfo {
  std::string dtype;           // as stored: "F32", "F16", "BF16", "Q4_1", ...
  std::vector<int64_t> shape;  // row-major, as torch has it
  int64_t elements() const;
};

// A shape for messages: "[2, 3]".
std::string ShapeText(const std::vector<int64_t>& shape);

// Read-only; thread-safe.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual const std::map<std::string, TensorInfo>& tensors() const = 0;
  // All elements as float32, row-major; out must have exactly as many. GGUF: dequantised as gguf-py
  // does, and Llama's q and k rows permuted back.
  virtual Status ReadFloat(const std::string& name, std::span<float> out) const = 0;
};

// A folder with model.safetensors, with shards and model.safetensors.index.json, with
// adapter_model.safetensors, or with exactly one *.gguf; or a path to one such file.
Result<std::unique_ptr<WeightSource>> OpenWeights(const std::filesystem::path& path);

// config.json of the folder, or what transformers makes of the GGUF file's metadata, as JSON text.
Result<std::string> ReadModelConfig(const std::filesystem::path& path);

}  // namespace attune::engine
