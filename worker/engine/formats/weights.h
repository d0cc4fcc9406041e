#pragma once

// Model weights and configuration as Hugging Face names them, whatever file holds them. No torch
// here.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/tensors.h"

namespace attune::engine {

// Read-only; thread-safe.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual const TensorInfos& tensors() const = 0;
  // Some rows (along the first dimension; a tensor of one dimension is one row) as float32,
  // row-major; out must have exactly as many elements. GGUF: dequantised as gguf-py does, and
  // Llama's q and k rows permuted back.
  virtual Status ReadRows(const std::string& name, int64_t first, int64_t count,
                          std::span<float> out) const = 0;
  // All of them.
  Status ReadFloat(const std::string& name, std::span<float> out) const;

 protected:
  // kNotFound or kInvalidArgument unless the tensor has the rows and they have as many elements.
  Status CheckRows(const std::string& name, int64_t first, int64_t count, size_t elements) const;
};

// A folder with model.safetensors, with shards and model.safetensors.index.json, with
// adapter_model.safetensors, or with exactly one *.gguf; or a path to one such file.
Result<std::unique_ptr<WeightSource>> OpenWeights(const std::filesystem::path& path);

// The weights of a whole model under their full names (StoredNames). Who uses them checks them
// (CheckModelTensors).
Result<std::unique_ptr<WeightSource>> OpenModelWeights(const std::filesystem::path& path,
                                                       const ModelConfig& config);

// config.json of the folder, or what transformers makes of the GGUF file's metadata, as JSON text.
Result<std::string> ReadModelConfig(const std::filesystem::path& path);

// Of the adapter in this folder; see common/model/adapter_labels.h.
Result<std::vector<std::string>> LabelsOfAdapter(const std::filesystem::path& folder);

}  // namespace attune::engine
