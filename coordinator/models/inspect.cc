#include "coordinator/models/inspect.h"

#include <algorithm>
#include <limits>
#include <set>
#include <system_error>

#include "common/gguf/gguf.h"
#include "common/safetensors/safetensors.h"
#include "coordinator/models/json.h"

namespace attune::models {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFloatTypes[] = {"F32", "F16", "BF16"};
// What the engine can bring back to floating point.
constexpr const char* kGgufTypes[] = {"F32",  "F16",  "BF16", "Q8_0", "Q4_0",
                                      "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q6_K"};
// As a job does (worker/engine/data/prepare.cc): added tokens that were never given a row of the
// embedding are common, more than these are another model's.
constexpr uint64_t kAddedTokensMax = 256;
constexpr const char* kConfigNumbers[] = {"vocab_size", "hidden_size", "num_hidden_layers",
                                          "num_attention_heads", "intermediate_size"};

template <size_t N>
bool Contains(const char* const (&list)[N], std::string_view value) {
  return std::any_of(std::begin(list), std::end(list), [&](const char* x) { return value == x; });
}

template <size_t N>
std::string Join(const char* const (&list)[N]) {
  std::string text;
  for (const char* x : list) text += (text.empty() ? "" : ", ") + std::string(x);
  return text;
}

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

bool IsPositive(const nlohmann::json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_number_integer() && it->get<double>() >= 1 &&
         it->get<double>() <= std::numeric_limits<int32_t>::max();
}

Result<uint64_t> CountSafetensors(const fs::path& path, std::set<std::string>* seen) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const SafetensorsFile> file, SafetensorsFile::Open(path));
  if (file->tensors().empty()) return InvalidArgument(path.string() + " has no tensors");
  uint64_t parameters = 0;
  for (const auto& [name, tensor] : file->tensors()) {
    if (!seen->insert(name).second) {
      return InvalidArgument(path.string() + ": tensor " + Quoted(name) +
                             " is in another file too");
    }
    if (Contains(kFloatTypes, tensor.dtype)) {
      parameters += tensor.data.size() / SafetensorsElementBytes(tensor.dtype);
    }
  }
  return parameters;
}

Status CheckConfig(const fs::path& path, const nlohmann::json& config, std::string* architecture) {
  *architecture = StringAt(config, "model_type");
  if (*architecture != "llama") {
    return InvalidArgument(path.string() + ": model_type " + Quoted(*architecture) +
                           " is not supported; supported: llama");
  }
  for (const char* key : kConfigNumbers) {
    if (!IsPositive(config, key)) {
      return InvalidArgument(path.string() + ": " + key + " must be a positive integer");
    }
  }
  auto quantization = config.find("quantization_config");
  if (quantization != config.end() && !quantization->is_null()) {
    return InvalidArgument(
        path.string() +
        ": quantised weights (quantization_config) are not supported; import the "
        "unquantised model or a GGUF file");
  }
  return Status();
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
Status CheckIndex(const fs::path& folder, const std::set<std::string>& tensors) {
  fs::path path = folder / "model.safetensors.index.json";
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::json index, ReadJsonObject(path));
  for (const auto& [name, file] : index["weight_map"].items()) {
    if (!tensors.contains(name)) {
      return InvalidArgument(path.string() + " names the tensor " + Quoted(name) +
                             ", which no shard has");
    }
  }
  return Status();
}

Result<Inspection> InspectHuggingFace(const fs::path& folder) {
  Inspection inspection{kHuggingFace, "", 0, ""};
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::json config, ReadJsonObject(folder / "config.json"));
  ATTUNE_RETURN_IF_ERROR(CheckConfig(folder / "config.json", config, &inspection.architecture));
  std::error_code error;
  bool sharded = fs::exists(folder / "model.safetensors.index.json", error);
  std::vector<std::string> shards = {"model.safetensors"};
  if (sharded) {
    ATTUNE_ASSIGN_OR_RETURN(shards, IndexedShards(folder / "model.safetensors.index.json"));
  }
  std::set<std::string> tensors;
  for (const std::string& shard : shards) {
    ATTUNE_ASSIGN_OR_RETURN(uint64_t parameters, CountSafetensors(folder / shard, &tensors));
    inspection.parameters += parameters;
  }
  if (sharded) ATTUNE_RETURN_IF_ERROR(CheckIndex(folder, tensors));
  if (fs::exists(folder / "tokenizer.json", error)) {
    ATTUNE_ASSIGN_OR_RETURN(nlohmann::json tokenizer, ReadJsonObject(folder / "tokenizer.json"));
    ATTUNE_RETURN_IF_ERROR(CheckVocabulary(folder / "tokenizer.json", CountTokens(tokenizer),
                                           config["vocab_size"].get<uint64_t>()));
  }
  return inspection;
}

Result<Inspection> InspectAdapter(const fs::path& folder) {
  fs::path path = folder / "adapter_config.json";
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::json config, ReadJsonObject(path));
  if (StringAt(config, "peft_type") != "LORA") {
    return InvalidArgument(path.string() + ": peft_type " + Quoted(StringAt(config, "peft_type")) +
                           " is not supported; supported: LORA");
  }
  if (!IsPositive(config, "r"))
    return InvalidArgument(path.string() + ": r must be a positive integer");
  if (!config.contains("target_modules"))
    return InvalidArgument(path.string() + ": target_modules is missing");
  std::set<std::string> tensors;
  ATTUNE_ASSIGN_OR_RETURN(uint64_t parameters,
                          CountSafetensors(folder / "adapter_model.safetensors", &tensors));
  return Inspection{kAdapter, "", parameters, StringAt(config, "base_model_name_or_path")};
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
  Result<std::string_view> architecture = file->GetString("general.architecture");
  if (!architecture.ok() || *architecture != "llama") {
    return InvalidArgument(path.string() + ": general.architecture " +
                           Quoted(architecture.ok() ? *architecture : "") +
                           " is not supported; supported: llama");
  }
  if (file->Find("tokenizer.ggml.tokens") == nullptr) {
    return InvalidArgument(path.string() + " has no tokenizer (tokenizer.ggml.tokens is missing)");
  }
  if (file->tensors().empty()) return InvalidArgument(path.string() + " has no tensors");
  ATTUNE_RETURN_IF_ERROR(CheckGgufVocabulary(path, *file));
  Inspection inspection{kGguf, "llama", 0, ""};
  for (const auto& [name, tensor] : file->tensors()) {
    if (!Contains(kGgufTypes, tensor.type->name)) {
      return InvalidArgument(path.string() + ": tensor " + Quoted(name) + " has type " +
                             std::string(tensor.type->name) + "; supported: " + Join(kGgufTypes));
    }
    inspection.parameters += tensor.elements;
  }
  return inspection;
}

}  // namespace

Result<Inspection> Inspect(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / "adapter_config.json", error)) return InspectAdapter(folder);
  if (fs::exists(folder / "model.gguf", error)) return InspectGguf(folder / "model.gguf");
  return InspectHuggingFace(folder);
}

}  // namespace attune::models
