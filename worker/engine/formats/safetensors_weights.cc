#include <map>
#include <string>
#include <utility>

#include "common/base/files.h"
#include "common/safetensors/header.h"
#include "common/safetensors/safetensors.h"
#include "worker/engine/formats/convert.h"
#include "worker/engine/formats/json.h"
#include "worker/engine/formats/mapped_pages.h"
#include "worker/engine/formats/sources.h"

namespace attune::engine {
namespace {

constexpr uint64_t kIndexBytesMax = 100'000'000;
constexpr size_t kShardsMax = 4096;

// One file, or the shards of an index.
class SafetensorsWeights : public WeightSource {
 public:
  void AddTensor(const std::string& name, const SafetensorsTensor& tensor,
                 std::shared_ptr<const SafetensorsFile> file) {
    infos_.emplace(name, TensorInfo{tensor.dtype, tensor.shape});
    stored_.emplace(name, Stored{tensor.data, std::move(file)});
  }

  const TensorInfos& tensors() const override { return infos_; }

  Status ReadRows(const std::string& name, int64_t first, int64_t count,
                  std::span<float> out) const override {
    ATTUNE_RETURN_IF_ERROR(CheckRows(name, first, count, out.size()));
    const TensorInfo& info = infos_.at(name);
    const Stored& stored = stored_.at(name);
    if (out.empty()) return Status();
    const size_t row_bytes = stored.data.size() / static_cast<size_t>(info.rows());
    const auto bytes = stored.data.subspan(static_cast<size_t>(first) * row_bytes,
                                           static_cast<size_t>(count) * row_bytes);
    Status status = ConvertToFloat(info.dtype, bytes, out);
    ReleaseMappedPages(bytes);
    return status.ok() ? status : status.WithContext("tensor " + QuotedName(name));
  }

 private:
  struct Stored {
    std::span<const std::byte> data;
    std::shared_ptr<const SafetensorsFile> file;  // owns it
  };
  TensorInfos infos_;
  std::map<std::string, Stored> stored_;
};

bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// Tensor name -> file name.
Result<std::map<std::string, std::string>> ReadWeightMap(const std::filesystem::path& index) {
  ATTUNE_ASSIGN_OR_RETURN(std::string text, ReadFile(index, kIndexBytesMax));
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::json json, ParseJson(text));
  auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object()) {
    return InvalidArgument("there is no object \"weight_map\"");
  }
  std::map<std::string, std::string> out;
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string() || !IsPlainFileName(file.get_ref<const std::string&>())) {
      return InvalidArgument("the file of tensor " + QuotedName(name) +
                             " is not the name of a file in the same folder");
    }
    out.emplace(name, file.get<std::string>());
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<WeightSource>> OpenSafetensorsWeights(const std::filesystem::path& file) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const SafetensorsFile> opened,
                          SafetensorsFile::Open(file));
  auto source = std::make_unique<SafetensorsWeights>();
  for (const auto& [name, tensor] : opened->tensors()) source->AddTensor(name, tensor, opened);
  return std::unique_ptr<WeightSource>(std::move(source));
}

Result<std::unique_ptr<WeightSource>> OpenShardedWeights(const std::filesystem::path& index) {
  auto map = ReadWeightMap(index);
  if (!map.ok()) return map.status().WithContext(index.string());
  auto source = std::make_unique<SafetensorsWeights>();
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> shards;
  for (const auto& [name, file] : *map) {
    std::shared_ptr<const SafetensorsFile>& shard = shards[file];
    if (shards.size() > kShardsMax) {
      return InvalidArgument(index.string() + ": more than " + std::to_string(kShardsMax) +
                             " shards");
    }
    if (!shard) {
      auto opened = SafetensorsFile::Open(index.parent_path() / file);
      if (!opened.ok()) return opened.status().WithContext(index.string());
      shard = std::move(opened).value();
    }
    auto tensor = shard->tensors().find(name);
    if (tensor == shard->tensors().end()) {
      return InvalidArgument(index.string() + ": tensor " + QuotedName(name) + " is not in " +
                             QuotedName(file) + " where the index says it is");
    }
    source->AddTensor(name, tensor->second, shard);
  }
  return std::unique_ptr<WeightSource>(std::move(source));
}

}  // namespace attune::engine
