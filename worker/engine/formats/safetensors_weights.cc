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
  void AddFile(std::shared_ptr<const SafetensorsFile> file) { files_.push_back(std::move(file)); }
  void AddTensor(const std::string& name, const SafetensorsTensor& tensor) {
    infos_.emplace(name, TensorInfo{tensor.dtype, tensor.shape});
    data_.emplace(name, tensor.data);
  }

  const std::map<std::string, TensorInfo>& tensors() const override { return infos_; }

  Status ReadFloat(const std::string& name, std::span<float> out) const override {
    auto info = infos_.find(name);
    if (info == infos_.end()) return NotFound("there is no tensor " + QuotedName(name));
    if (static_cast<int64_t>(out.size()) != info->second.elements()) {
      return InvalidArgument("tensor " + QuotedName(name) + " has " +
                             std::to_string(info->second.elements()) + " elements, not " +
                             std::to_string(out.size()));
    }
    Status status = ConvertToFloat(info->second.dtype, data_.at(name), out);
    ReleaseMappedPages(data_.at(name));
    return status.ok() ? status : status.WithContext("tensor " + QuotedName(name));
  }

 private:
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;  // own the data
  std::map<std::string, TensorInfo> infos_;
  std::map<std::string, std::span<const std::byte>> data_;
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
  for (const auto& [name, tensor] : opened->tensors()) source->AddTensor(name, tensor);
  source->AddFile(std::move(opened));
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
      source->AddFile(shard);
    }
    auto tensor = shard->tensors().find(name);
    if (tensor == shard->tensors().end()) {
      return InvalidArgument(index.string() + ": tensor " + QuotedName(name) + " is not in " +
                             QuotedName(file) + " where the index says it is");
    }
    source->AddTensor(name, tensor->second);
  }
  return std::unique_ptr<WeightSource>(std::move(source));
}

}  // namespace attune::engine
