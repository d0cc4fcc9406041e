#include "coordinator/models/inspect.h"

#include <algorithm>
#include <string_view>
#include <system_error>

#include "common/gguf/gguf.h"
#include "common/model/adapter_config.h"
#include "common/model/adapter_labels.h"
#include "common/model/gguf_config.h"
#include "common/model/gguf_names.h"
#include "common/model/tensors.h"
#include "common/safetensors/safetensors.h"
#include "coordinator/models/json.h"

namespace attune::models {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kFloatTypes[] = {"F32", "F16", "BF16", "F64"};
// As a job does (worker/engine/data/prepare.cc): added tokens that were never given a row of the
// embedding are common, more than these are another model's.
constexpr uint64_t kAddedTokensMax = 256;

// Messages show what a file says only when it is short and printable.
std::string Quoted(std::string_view text) {
  bool plain = text.size() <= 80 &&
               std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return plain ? "\"" + std::string(text) + "\"" : "(unprintable)";
}

std::string StringAt(const nlohmann::json& object, const char* key) {
  auto it = object.find(key);
  const std::string* value = it == object.end() ? nullptr : it->get_ptr<const std::string*>();
  return value == nullptr ? "" : *value;
}

// Adds the file's tensors.
Status ReadSafetensors(const fs::path& path, TensorInfos* tensors) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const SafetensorsFile> file, SafetensorsFile::Open(path));
  if (file->tensors().empty()) return InvalidArgument(path.string() + " has no tensors");
  for (const auto& [name, tensor] : file->tensors()) {
    if (!tensors->emplace(name, TensorInfo{tensor.dtype, tensor.shape}).second) {
      return InvalidArgument(path.string() + ": tensor " + Quoted(name) +
                             " is in another file too");
    }
  }
  return Status();
}

uint64_t CountParameters(const TensorInfos& tensors) {
  uint64_t count = 0;
  for (const auto& [name, tensor] : tensors) {
    if (std::ranges::find(kFloatTypes, tensor.dtype) != std::end(kFloatTypes))
      count += static_cast<uint64_t>(tensor.elements());
  }
  return count;
}

// The tokens of a tokenizer.json: those of its model (an object, or a list) and the added ones that
// are not among them.
uint64_t CountTokens(const nlohmann::json& tokenizer) {
  const auto none = nlohmann::json::object();
  auto at = [&](const nlohmann::json& json, const char* key) -> const nlohmann::json& {
    auto found = json.find(key);
    return found == json.end() ? none : *found;
  };
  const nlohmann::json& vocabulary = at(at(tokenizer, "model"), "vocab");
  uint64_t count = vocabulary.is_structured() ? vocabulary.size() : 0;
  for (const nlohmann::json& added : at(tokenizer, "added_tokens")) {
    const bool known = vocabulary.is_object() && vocabulary.contains(StringAt(added, "content"));
    if (!known) ++count;
  }
  return count;
}

Status CheckVocabulary(const fs::path& path, uint64_t tokens, uint64_t vocabulary) {
  if (tokens <= vocabulary + kAddedTokensMax) return Status();
  return InvalidArgument(path.string() + ": the tokenizer has " + std::to_string(tokens) +
                         " tokens, the model's vocabulary " + std::to_string(vocabulary) +
                         ": the tokenizer does not belong to the model");
}

// Every tensor that the index names must be where it says, and nothing else counts.
Status KeepIndexed(const fs::path& path, TensorInfos* tensors) {
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::json index, ReadJsonObject(path));
  const nlohmann::json& map = index["weight_map"];
  for (const auto& [name, file] : map.items()) {
    if (!tensors->contains(name)) {
      return InvalidArgument(path.string() + " names the tensor " + Quoted(name) +
                             ", which no shard has");
    }
  }
  std::erase_if(*tensors, [&](const auto& tensor) { return !map.contains(tensor.first); });
  return Status();
}

// The configuration as transformers would read it.
Result<ModelConfig> ConfigOf(const fs::path& folder) {
  std::error_code error;
  fs::path path = folder / "model.gguf";
  if (fs::exists(path, error)) {
    ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const gguf::File> file, gguf::File::Open(path));
    auto config = LlamaConfigOf(*file);
    if (!config.ok()) return config.status().WithContext(path.string());
    return ParseModelConfig(config->dump(), path.string());
  }
  path = folder / "config.json";
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::json config, ReadJsonObject(path));
  return ParseModelConfig(config.dump(), path.string());
}

// A tensor of a folder, and the file that it lies in.
struct StoredTensor {
  std::shared_ptr<const SafetensorsFile> file;
  const SafetensorsTensor* tensor = nullptr;
};
Result<StoredTensor> FindStored(const fs::path& folder, const std::vector<std::string>& shards,
                                const std::string& name) {
  for (const std::string& shard : shards) {
    ATTUNE_ASSIGN_OR_RETURN(auto file, SafetensorsFile::Open(folder / shard));
    const auto found = file->tensors().find(name);
    if (found != file->tensors().end()) return StoredTensor{file, &found->second};
  }
  return InvalidArgument(folder.string() + " lacks the tensor " + Quoted(name));
}

// What else the files hold the embedding under, by their own names.
std::vector<std::string> EmbeddingCopies(const ModelConfig& config, const TensorInfos& tensors,
                                         const std::map<std::string, std::string>& stored_names,
                                         const std::string& embedding) {
  std::vector<std::string> copies;
  for (const std::string& name : config.names.embedding_copies) {
    if (tensors.contains(name + ".weight")) copies.push_back(name + ".weight");
  }
  const auto head = stored_names.find(config.names.head + ".weight");
  if (config.tied_embeddings && head != stored_names.end()) copies.push_back(head->second);
  std::erase(copies, embedding);
  return copies;
}

// A tied output projection, or another copy of the embedding, that is stored too must be the
// embedding, which is all that is read: where they differ, transformers does not tie them.
Status CheckCopies(const ModelConfig& config, const fs::path& folder,
                   const std::vector<std::string>& shards, const TensorInfos& tensors,
                   const std::map<std::string, std::string>& stored_names,
                   const std::string& where) {
  const std::string& name = stored_names.at(config.names.embedding + ".weight");
  const std::vector<std::string> copies = EmbeddingCopies(config, tensors, stored_names, name);
  if (copies.empty()) return Status();
  ATTUNE_ASSIGN_OR_RETURN(const StoredTensor embedding, FindStored(folder, shards, name));
  for (const std::string& copy : copies) {
    ATTUNE_ASSIGN_OR_RETURN(const StoredTensor stored, FindStored(folder, shards, copy));
    if (stored.tensor->dtype == embedding.tensor->dtype &&
        std::ranges::equal(stored.tensor->data, embedding.tensor->data)) {
      continue;
    }
    const bool is_head = copy == config.names.head + ".weight";
    return InvalidArgument(
        where + ": " + copy + " differs from " + name +
        (is_head ? " although config.json has tie_word_embeddings: true; set it to false"
                 : ", but the model has one embedding for both"));
  }
  return Status();
}

Result<Inspection> InspectHuggingFace(const fs::path& folder) {
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, ConfigOf(folder));
  std::error_code error;
  if (fs::exists(folder / "tokenizer.json", error)) {
    ATTUNE_ASSIGN_OR_RETURN(nlohmann::json tokenizer, ReadJsonObject(folder / "tokenizer.json"));
    ATTUNE_RETURN_IF_ERROR(CheckVocabulary(folder / "tokenizer.json", CountTokens(tokenizer),
                                           static_cast<uint64_t>(config.vocabulary_size)));
  }
  const fs::path index = folder / "model.safetensors.index.json";
  bool sharded = fs::exists(index, error);
  std::vector<std::string> shards = {"model.safetensors"};
  if (sharded) {
    ATTUNE_ASSIGN_OR_RETURN(shards, IndexedShards(index));
  }
  TensorInfos tensors;
  for (const std::string& shard : shards) {
    ATTUNE_RETURN_IF_ERROR(ReadSafetensors(folder / shard, &tensors));
  }
  if (sharded) ATTUNE_RETURN_IF_ERROR(KeepIndexed(index, &tensors));
  TensorInfos named;
  const std::map<std::string, std::string> stored_names = StoredNames(config, tensors);
  for (const auto& [name, stored] : stored_names) named.emplace(name, tensors.at(stored));
  const std::string where = (folder / (sharded ? index.filename() : fs::path(shards[0]))).string();
  ATTUNE_RETURN_IF_ERROR(CheckModelTensors(config, named, where));
  ATTUNE_RETURN_IF_ERROR(CheckCopies(config, folder, shards, tensors, stored_names, where));
  return Inspection{kHuggingFace, config.family, CountParameters(tensors), ""};
}

Result<Inspection> InspectAdapter(const fs::path& folder) {
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::json config, ReadJsonObject(folder / "adapter_config.json"));
  TensorInfos tensors;
  ATTUNE_RETURN_IF_ERROR(ReadSafetensors(folder / "adapter_model.safetensors", &tensors));
  return Inspection{kAdapter, "", CountParameters(tensors),
                    StringAt(config, "base_model_name_or_path")};
}

Status CheckGgufTensors(const gguf::File& file, const ModelConfig& config, const fs::path& path) {
  auto found = LlamaTensorsOf(file);
  if (!found.ok()) return found.status().WithContext(path.string());
  TensorInfos tensors;
  for (const auto& [name, stored] : *found) {
    const gguf::Tensor& tensor = *stored.tensor;
    tensors.emplace(name, TensorInfo{std::string(tensor.type->name),
                                     {tensor.dimensions.rbegin(), tensor.dimensions.rend()}});
  }
  return CheckModelTensors(config, tensors, path.string());
}

Status CheckGgufVocabulary(const fs::path& path, const gguf::File& file) {
  auto tokens = file.GetStrings("tokenizer.ggml.tokens");
  if (!tokens.ok()) return tokens.status().WithContext(path.string());
  const gguf::Tensor* embedding = file.FindTensor("token_embd.weight");
  if (embedding == nullptr || embedding->dimensions.size() != 2) {
    return InvalidArgument(path.string() + " has no token_embd.weight of two dimensions");
  }
  return CheckVocabulary(path, tokens->size(), embedding->dimensions[1]);
}

Result<Inspection> InspectGguf(const fs::path& path) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const gguf::File> file, gguf::File::Open(path));
  if (file->Find("tokenizer.ggml.tokens") == nullptr) {
    return InvalidArgument(path.string() + " has no tokenizer (tokenizer.ggml.tokens is missing)");
  }
  ATTUNE_RETURN_IF_ERROR(CheckGgufVocabulary(path, *file));
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, ConfigOf(path.parent_path()));
  ATTUNE_RETURN_IF_ERROR(CheckGgufTensors(*file, config, path));
  Inspection inspection{kGguf, config.family, 0, ""};
  for (const auto& [name, tensor] : file->tensors()) inspection.parameters += tensor.elements;
  return inspection;
}

}  // namespace

Result<Inspection> Inspect(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / "adapter_config.json", error)) return InspectAdapter(folder);
  if (fs::exists(folder / "model.gguf", error)) return InspectGguf(folder / "model.gguf");
  return InspectHuggingFace(folder);
}

Status CheckAdapterFits(const fs::path& adapter, const fs::path& base) {
  const fs::path config_path = adapter / "adapter_config.json";
  const fs::path tensors_path = adapter / "adapter_model.safetensors";
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig model, ConfigOf(base));
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::json config, ReadJsonObject(config_path));
  TensorInfos tensors;
  ATTUNE_RETURN_IF_ERROR(ReadSafetensors(tensors_path, &tensors));
  ATTUNE_ASSIGN_OR_RETURN(const auto labels, ReadAdapterLabels(adapter, tensors));
  ATTUNE_ASSIGN_OR_RETURN(model, WithLabels(model, labels));
  ATTUNE_ASSIGN_OR_RETURN(AdapterConfig parsed,
                          ParseAdapterConfig(config.dump(), model, config_path.string()));
  return CheckAdapterTensors(model, parsed, tensors, tensors_path.string());
}

}  // namespace attune::models
