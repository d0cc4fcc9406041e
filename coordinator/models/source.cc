#include <algorithm>
#include <set>
#include <system_error>

#include "common/model/adapter_labels.h"
#include "common/model/model_config.h"
#include "common/model/side_files.h"
#include "coordinator/models/inspect.h"
#include "coordinator/models/json.h"
#include "coordinator/models/pooling.h"

namespace attune::models {
namespace fs = std::filesystem;
namespace {

constexpr size_t kShardsMax = 10'000;
constexpr size_t kEntriesMax = 100'000;

constexpr const char* kPickleAdvice =
    ": weights in pickle files can run code when they are loaded and are refused; convert them to "
    "safetensors "
    "(transformers: model.save_pretrained(folder, safe_serialization=True))";

// The names of the regular files in a folder, following symbolic links (Hugging Face caches are
// made of them).
Result<std::set<std::string>> FilesIn(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  size_t entries = 0;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (++entries > kEntriesMax)
      return InvalidArgument(folder.string() + " has too many files for a model");
    std::error_code ignored;
    if (it->is_regular_file(ignored)) names.insert(it->path().filename().string());
  }
  if (error) {
    return InvalidArgument("the coordinator cannot read " + folder.string() + ": " +
                           error.message());
  }
  return names;
}

bool IsPlainName(const std::string& name) {
  return !name.empty() && name[0] != '.' && name.size() <= 255 &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

bool HasPickle(const std::set<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth");
  });
}

void Add(Source* source, const fs::path& folder, const std::string& name) {
  source->files.push_back({folder / name, name});
}

void AddSideFiles(Source* source, const fs::path& folder, const std::set<std::string>& names) {
  for (const char* name : kSideFiles) {
    if (names.contains(name)) Add(source, folder, name);
  }
  if (names.contains(kReadme)) Add(source, folder, kReadme);
}

Result<Source> AdapterFiles(const fs::path& folder, const std::set<std::string>& names) {
  if (!names.contains("adapter_model.safetensors")) {
    if (HasPickle(names)) return InvalidArgument(folder.string() + kPickleAdvice);
    return InvalidArgument(folder.string() +
                           " has adapter_config.json but no adapter_model.safetensors");
  }
  Source source{kAdapter, {}};
  Add(&source, folder, "adapter_config.json");
  Add(&source, folder, "adapter_model.safetensors");
  if (names.contains(kLabelsFile)) Add(&source, folder, kLabelsFile);
  AddSideFiles(&source, folder, names);
  return source;
}

// Only an encoder's embeddings are pooled as its files say.
Status CheckEncoder(const fs::path& folder) {
  ATTUNE_ASSIGN_OR_RETURN(const nlohmann::json json, ReadJsonObject(folder / "config.json"));
  const auto config = ParseModelConfig(json.dump(), (folder / "config.json").string());
  if (!config.ok()) return config.status();
  return config->head == HeadKind::kNone ? CheckPooling(folder) : Status();
}

Result<Source> HuggingFaceFiles(const fs::path& folder, const std::set<std::string>& names) {
  Source source{kHuggingFace, {}};
  Add(&source, folder, "config.json");
  if (names.contains("model.safetensors.index.json")) {
    Add(&source, folder, "model.safetensors.index.json");
    ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string> shards,
                            IndexedShards(folder / "model.safetensors.index.json"));
    for (const std::string& shard : shards) {
      if (!names.contains(shard)) {
        return InvalidArgument(
            folder.string() + " lacks " + shard +
            ", which model.safetensors.index.json names: is the download complete?");
      }
      Add(&source, folder, shard);
    }
  } else if (names.contains("model.safetensors")) {
    Add(&source, folder, "model.safetensors");
  } else if (HasPickle(names)) {
    return InvalidArgument(folder.string() + kPickleAdvice);
  } else {
    return InvalidArgument(folder.string() + " has config.json but no model.safetensors");
  }
  if (!names.contains("tokenizer.json")) {
    return InvalidArgument(
        folder.string() +
        " has no tokenizer.json: save the model with a fast tokenizer (transformers: "
        "AutoTokenizer.from_pretrained(...).save_pretrained(folder))");
  }
  ATTUNE_RETURN_IF_ERROR(CheckEncoder(folder));
  AddSideFiles(&source, folder, names);
  return source;
}

Result<Source> GgufFiles(const fs::path& folder, const std::set<std::string>& names) {
  Source source{kGguf, {}};
  for (const std::string& name : names) {
    if (name.ends_with(".gguf")) source.files.push_back({folder / name, "model.gguf"});
  }
  if (source.files.size() == 1) return source;
  if (source.files.size() > 1) {
    return InvalidArgument(folder.string() + " has " + std::to_string(source.files.size()) +
                           " GGUF files: give the path of one, or join the parts of a split model "
                           "first (llama-gguf-split --merge FIRST_PART JOINED.gguf)");
  }
  if (HasPickle(names)) return InvalidArgument(folder.string() + kPickleAdvice);
  return InvalidArgument(
      folder.string() +
      " is no model: expected config.json with model.safetensors, adapter_config.json with "
      "adapter_model.safetensors, or one .gguf file");
}

}  // namespace

Result<std::vector<std::string>> IndexedShards(const fs::path& index) {
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::json json, ReadJsonObject(index));
  auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object() || map->empty()) {
    return InvalidArgument(index.string() + ": weight_map is not an object with entries");
  }
  std::set<std::string> shards;
  for (const auto& [tensor, file] : map->items()) {
    const std::string* name = file.get_ptr<const std::string*>();
    if (name == nullptr || !IsPlainName(*name) || !name->ends_with(".safetensors")) {
      return InvalidArgument(index.string() +
                             ": weight_map has an entry that is not the name of a "
                             ".safetensors file beside it");
    }
    shards.insert(*name);
  }
  if (shards.size() > kShardsMax) return InvalidArgument(index.string() + ": too many shards");
  return std::vector<std::string>(shards.begin(), shards.end());
}

Result<Source> FindFiles(const fs::path& path) {
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return NotFound("there is no " + path.string());
  if (status.type() == fs::file_type::none)
    return InvalidArgument("the coordinator cannot read " + path.string() + ": " + error.message());
  if (status.type() == fs::file_type::regular) {
    if (path.extension() == ".gguf") return Source{kGguf, {{path, "model.gguf"}}};
    return InvalidArgument(path.string() +
                           " is not a .gguf file; for other formats give the folder");
  }
  if (status.type() != fs::file_type::directory) {
    return InvalidArgument(path.string() + " is neither a folder nor a file");
  }
  ATTUNE_ASSIGN_OR_RETURN(std::set<std::string> names, FilesIn(path));
  if (names.contains("adapter_config.json")) return AdapterFiles(path, names);
  if (names.contains("config.json")) return HuggingFaceFiles(path, names);
  return GgufFiles(path, names);
}

}  // namespace attune::models
