#include "worker/engine/checkpoint/tensor_file.h"

#include "common/safetensors/safetensors.h"
#include "worker/engine/formats/mapped_pages.h"
#include "worker/engine/formats/weights.h"

namespace attune::engine {
namespace {

const char* DtypeOf(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kByte ? "U8" : "F32";
}

Status CheckMatches(const std::filesystem::path& path, const SafetensorsFile& file,
                    const NamedTensors& tensors, bool is_part) {
  if (!is_part && file.tensors().size() != tensors.size()) {
    return DataLoss(path.string() + " holds " + std::to_string(file.tensors().size()) +
                    " tensors, not " + std::to_string(tensors.size()));
  }
  for (const auto& [name, tensor] : tensors) {
    const auto found = file.tensors().find(name);
    if (found == file.tensors().end())
      return DataLoss(path.string() + " lacks the tensor '" + name + "'");
    const SafetensorsTensor& stored = found->second;
    if (stored.dtype != DtypeOf(tensor) || stored.shape != tensor.sizes().vec()) {
      return DataLoss(path.string() + ": '" + name + "' is " + stored.dtype + " " +
                      ShapeText(stored.shape) + ", not " + DtypeOf(tensor) + " " +
                      ShapeText(tensor.sizes().vec()));
    }
  }
  return Status();
}

}  // namespace

Status SaveTensors(const std::filesystem::path& path, const NamedTensors& tensors) {
  try {
    std::vector<at::Tensor> alive;
    std::vector<TensorBytes> entries;
    for (const auto& [name, tensor] : tensors) {
      alive.push_back(tensor.detach().to(at::kCPU).contiguous());
      entries.push_back({.name = name,
                         .dtype = DtypeOf(tensor),
                         .shape = tensor.sizes().vec(),
                         .data = alive.back().const_data_ptr(),
                         .bytes = alive.back().nbytes()});
    }
    return WriteSafetensors(path, entries);
  } catch (const std::exception& error) {
    return Internal("save " + path.string() + ": " + error.what());
  }
}

Status LoadTensorsInto(const std::filesystem::path& path, const NamedTensors& tensors,
                       bool is_part) {
  auto opened = SafetensorsFile::Open(path);
  if (opened.status().code() == StatusCode::kInternal) return opened.status();
  if (!opened.ok()) return DataLoss(opened.status().message());
  const SafetensorsFile& file = **opened;
  ATTUNE_RETURN_IF_ERROR(CheckMatches(path, file, tensors, is_part));
  try {
    at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : tensors) {
      const SafetensorsTensor& stored = file.tensors().at(name);
      // The blob is only read from.
      tensor.detach().copy_(at::from_blob(const_cast<std::byte*>(stored.data.data()),
                                          tensor.sizes(), tensor.scalar_type()));
      ReleaseMappedPages(stored.data);
    }
    return Status();
  } catch (const std::exception& error) {
    return Internal("load " + path.string() + ": " + error.what());
  }
}

}  // namespace attune::engine
