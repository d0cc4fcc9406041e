#pragma once

// Weights in safetensors files as transformers writes them, a piece of a tensor at a time.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/formats/weights.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {

// What transformers calls 5GB.
inline constexpr uint64_t kShardBytesMax = 5'000'000'000;

// A tensor to be written; `rows` gives some of its rows (TensorInfo::rows) in any type and on any
// device.
struct OutputTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::function<Result<at::Tensor>(int64_t first, int64_t count)> rows;
};

std::vector<OutputTensor> OutputOf(const NamedTensors& tensors);
// Those of these names; the source outlives the result.
std::vector<OutputTensor> OutputOf(const WeightSource& source,
                                   const std::vector<std::string>& names);

// "float32", "bfloat16" and "float16". kInvalidArgument for another, with the field "dtype".
Status CheckDtype(const std::string& dtype);

// One file, in the given dtype.
Status WriteTensors(const std::filesystem::path& path, const std::vector<OutputTensor>& tensors,
                    const std::string& dtype);

// model.safetensors; when that would be larger than shard_bytes, model-00001-of-0000N.safetensors
// and model.safetensors.index.json.
Status WriteWeights(const std::filesystem::path& folder, const std::vector<OutputTensor>& tensors,
                    const std::string& dtype, uint64_t shard_bytes = kShardBytesMax);

}  // namespace attune::engine
