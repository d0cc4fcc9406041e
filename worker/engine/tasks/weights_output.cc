#include "worker/engine/tasks/weights_output.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/safetensors/safetensors.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPieceElements = 4 << 20;

struct Dtype {
  const char* name;         // of torch
  const char* safetensors;  // of the file format
  at::ScalarType type;
};
constexpr Dtype kDtypes[] = {{"float32", "F32", at::kFloat},
                             {"bfloat16", "BF16", at::kBFloat16},
                             {"float16", "F16", at::kHalf}};

const Dtype* FindDtype(const std::string& name) {
  const Dtype* found =
      std::ranges::find_if(kDtypes, [&](const Dtype& dtype) { return name == dtype.name; });
  return found == std::end(kDtypes) ? nullptr : found;
}

int64_t Elements(const std::vector<int64_t>& shape) {
  return TensorInfo{"", shape}.elements();
}

Status AppendOne(const OutputTensor& tensor, const Dtype& dtype, AtomicFileWriter& file) {
  const int64_t rows = TensorInfo{"", tensor.shape}.rows();
  const int64_t row = Elements(tensor.shape) / std::max<int64_t>(rows, 1);
  const int64_t step = std::max<int64_t>(kPieceElements / std::max<int64_t>(row, 1), 1);
  for (int64_t first = 0; first < rows; first += step) {
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor values,
                            tensor.rows(first, std::min(step, rows - first)));
    const at::Tensor bytes = values.detach().to(at::kCPU, dtype.type).contiguous();
    ATTUNE_RETURN_IF_ERROR(file.Append(bytes.const_data_ptr(), bytes.nbytes()));
  }
  return Status();
}

using Shard = std::vector<OutputTensor>;

// In their order, as many as fit into each; a tensor that is larger has a file of its own.
std::vector<Shard> Split(const std::vector<OutputTensor>& tensors, uint64_t element_bytes,
                         uint64_t shard_bytes) {
  std::vector<Shard> shards(1);
  uint64_t size = 0;
  for (const OutputTensor& tensor : tensors) {
    const uint64_t bytes = static_cast<uint64_t>(Elements(tensor.shape)) * element_bytes;
    if (!shards.back().empty() && size + bytes > shard_bytes) {
      shards.emplace_back();
      size = 0;
    }
    shards.back().push_back(tensor);
    size += bytes;
  }
  return shards;
}

std::string ShardName(size_t number, size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

}  // namespace

std::vector<OutputTensor> OutputOf(const NamedTensors& tensors) {
  std::vector<OutputTensor> output;
  for (const auto& [name, tensor] : tensors) {
    auto rows = [values = tensor.detach()](int64_t first, int64_t count) -> Result<at::Tensor> {
      return values.dim() < 2 ? values : values.narrow(0, first, count);
    };
    output.push_back({name, tensor.sizes().vec(), rows});
  }
  return output;
}

std::vector<OutputTensor> OutputOf(const WeightSource& source,
                                   const std::vector<std::string>& names) {
  std::vector<OutputTensor> output;
  for (const std::string& name : names) {
    const TensorInfo& info = source.tensors().at(name);
    const int64_t row = info.elements() / std::max<int64_t>(info.rows(), 1);
    auto rows = [&source, name, row](int64_t first, int64_t count) -> Result<at::Tensor> {
      at::Tensor values = at::empty({count, row}, at::kFloat);
      ATTUNE_RETURN_IF_ERROR(
          source.ReadRows(name, first, count,
                          {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())}));
      return values;
    };
    output.push_back({name, info.shape, rows});
  }
  return output;
}

Status CheckDtype(const std::string& dtype) {
  if (FindDtype(dtype) != nullptr) return Status();
  return InvalidArgument("dtype \"" + dtype + "\" is not one of float32, bfloat16, float16")
      .WithField("dtype");
}

Status WriteTensors(const fs::path& path, const std::vector<OutputTensor>& tensors,
                    const std::string& dtype_name) {
  ATTUNE_RETURN_IF_ERROR(CheckDtype(dtype_name));
  const Dtype& dtype = *FindDtype(dtype_name);
  std::vector<TensorLayout> layouts;
  std::map<std::string, const OutputTensor*> by_name;
  for (const OutputTensor& tensor : tensors) {
    layouts.push_back({tensor.name, dtype.safetensors, tensor.shape});
    by_name[tensor.name] = &tensor;
  }
  try {
    at::NoGradGuard no_grad;
    auto append = [&](const TensorLayout& layout, AtomicFileWriter& file) {
      return AppendOne(*by_name.at(layout.name), dtype, file);
    };
    return WriteSafetensors(path, std::move(layouts), append);
  } catch (const std::exception& error) {
    return Internal("save " + path.string() + ": " + error.what());
  }
}

Status WriteWeights(const fs::path& folder, const std::vector<OutputTensor>& tensors,
                    const std::string& dtype, uint64_t shard_bytes) {
  ATTUNE_RETURN_IF_ERROR(CheckDtype(dtype));
  const uint64_t element_bytes = SafetensorsElementBytes(FindDtype(dtype)->safetensors);
  const std::vector<Shard> shards = Split(tensors, element_bytes, shard_bytes);
  if (shards.size() == 1) return WriteTensors(folder / "model.safetensors", tensors, dtype);
  uint64_t parameters = 0;
  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = ShardName(i + 1, shards.size());
    ATTUNE_RETURN_IF_ERROR(WriteTensors(folder / name, shards[i], dtype));
    for (const OutputTensor& tensor : shards[i]) {
      map[tensor.name] = name;
      parameters += static_cast<uint64_t>(Elements(tensor.shape));
    }
  }
  const nlohmann::ordered_json index = {
      {"metadata", {{"total_parameters", parameters}, {"total_size", parameters * element_bytes}}},
      {"weight_map", map}};
  return WriteFileAtomically(folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace attune::engine
