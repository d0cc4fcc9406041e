#include "worker/engine/formats/weights.h"

#include <algorithm>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "common/base/files.h"
#include "common/gguf/gguf.h"
#include "common/model/adapter_labels.h"
#include "common/model/gguf_config.h"
#include "common/safetensors/header.h"
#include "worker/engine/formats/json.h"
#include "worker/engine/formats/sources.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kConfigBytesMax = 16 << 20;

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

// Files of the folder that end in the extension, sorted.
std::vector<fs::path> FilesWith(const fs::path& folder, std::string_view extension) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == extension) files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The only *.gguf of the folder; none is no error, several are.
Result<std::optional<fs::path>> GgufOf(const fs::path& folder) {
  std::vector<fs::path> files = FilesWith(folder, ".gguf");
  if (files.size() > 1) {
    return InvalidArgument(folder.string() + " has several GGUF files (" +
                           files[0].filename().string() + ", " + files[1].filename().string() +
                           ", ...); name the one to use");
  }
  return files.empty() ? std::optional<fs::path>() : files[0];
}

Status NoWeights(const fs::path& folder) {
  bool pickled =
      Exists(folder / "pytorch_model.bin") || Exists(folder / "pytorch_model.bin.index.json");
  return NotFound(folder.string() + " has no model.safetensors, model.safetensors.index.json, " +
                  "adapter_model.safetensors or *.gguf" +
                  (pickled ? "; pytorch_model.bin is not read because loading it can run any code: "
                             "save the model with safe_serialization"
                           : ""));
}

Result<std::unique_ptr<WeightSource>> OpenFolder(const fs::path& folder) {
  if (Exists(folder / "model.safetensors"))
    return OpenSafetensorsWeights(folder / "model.safetensors");
  fs::path index = folder / "model.safetensors.index.json";
  if (Exists(index)) return OpenShardedWeights(index);
  fs::path adapter = folder / "adapter_model.safetensors";
  if (Exists(adapter)) return OpenSafetensorsWeights(adapter);
  ATTUNE_ASSIGN_OR_RETURN(std::optional<fs::path> gguf, GgufOf(folder));
  if (gguf) return OpenGgufWeights(*gguf);
  return NoWeights(folder);
}

Result<std::string> GgufConfig(const fs::path& path) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const gguf::File> file, gguf::File::Open(path));
  auto config = LlamaConfigOf(*file);
  if (!config.ok()) return config.status().WithContext(path.string());
  return config->dump(2);
}

class RenamedWeights : public WeightSource {
 public:
  RenamedWeights(std::unique_ptr<WeightSource> stored, const ModelConfig& config)
      : stored_(std::move(stored)), names_(StoredNames(config, stored_->tensors())) {
    for (const auto& [name, stored_name] : names_) {
      tensors_.emplace(name, stored_->tensors().at(stored_name));
    }
  }

  const TensorInfos& tensors() const override { return tensors_; }
  Status ReadRows(const std::string& name, int64_t first, int64_t count,
                  std::span<float> out) const override {
    const auto found = names_.find(name);
    if (found == names_.end()) return NotFound("there is no tensor " + QuotedName(name));
    return stored_->ReadRows(found->second, first, count, out);
  }

 private:
  const std::unique_ptr<WeightSource> stored_;
  const std::map<std::string, std::string> names_;  // by full names what the file has
  TensorInfos tensors_;
};

}  // namespace

Status WeightSource::ReadFloat(const std::string& name, std::span<float> out) const {
  const auto info = tensors().find(name);
  const int64_t rows = info == tensors().end() ? 0 : info->second.rows();
  return ReadRows(name, 0, rows, out);
}

Status WeightSource::CheckRows(const std::string& name, int64_t first, int64_t count,
                               size_t elements) const {
  const auto found = tensors().find(name);
  if (found == tensors().end()) return NotFound("there is no tensor " + QuotedName(name));
  const TensorInfo& info = found->second;
  ATTUNE_CHECK(first >= 0 && count >= 0 && first + count <= info.rows());
  const int64_t wanted = count * (info.elements() / std::max<int64_t>(info.rows(), 1));
  if (static_cast<int64_t>(elements) == wanted) return Status();
  return InvalidArgument("tensor " + QuotedName(name) + " has " + std::to_string(wanted) +
                         " elements, not " + std::to_string(elements));
}

Result<std::unique_ptr<WeightSource>> OpenWeights(const fs::path& path) {
  if (!Exists(path)) return NotFound(path.string() + " does not exist");
  if (IsFolder(path)) return OpenFolder(path);
  if (path.extension() == ".gguf") return OpenGgufWeights(path);
  if (path.extension() == ".safetensors") return OpenSafetensorsWeights(path);
  if (path.string().ends_with(".safetensors.index.json")) return OpenShardedWeights(path);
  return InvalidArgument(
      path.string() + " is not a folder, a *.safetensors, a *.safetensors.index.json or a *.gguf");
}

Result<std::unique_ptr<WeightSource>> OpenModelWeights(const fs::path& path,
                                                       const ModelConfig& config) {
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<WeightSource> stored, OpenWeights(path));
  return std::unique_ptr<WeightSource>(std::make_unique<RenamedWeights>(std::move(stored), config));
}

Result<std::string> ReadModelConfig(const fs::path& path) {
  if (!Exists(path)) return NotFound(path.string() + " does not exist");
  if (path.extension() == ".gguf" && !IsFolder(path)) return GgufConfig(path);
  fs::path folder = IsFolder(path) ? path : path.parent_path();
  fs::path config = folder / "config.json";
  if (!Exists(config)) {
    ATTUNE_ASSIGN_OR_RETURN(std::optional<fs::path> gguf, GgufOf(folder));
    if (gguf) return GgufConfig(*gguf);
    return NotFound(folder.string() + " has no config.json and no *.gguf");
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string text, ReadFile(config, kConfigBytesMax));
  auto json = ParseJson(text);
  if (!json.ok()) return json.status().WithContext(config.string());
  if (!json->is_object()) return InvalidArgument(config.string() + " is not a JSON object");
  return text;
}

Result<std::vector<std::string>> LabelsOfAdapter(const fs::path& folder) {
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> weights, OpenWeights(folder));
  return ReadAdapterLabels(folder, weights->tensors());
}

}  // namespace attune::engine
