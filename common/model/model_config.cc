#include "common/model/model_config.h"

#include <algorithm>

#include "common/model/families/families.h"
#include "common/safetensors/header.h"

namespace attune {
namespace {

using Json = nlohmann::json;

std::vector<Family> AllFamilies() {
  std::vector<Family> all;
  for (const auto& families : {LlamaFamilies(), QwenFamilies(), GemmaFamilies(), PhiFamilies(),
                               Gpt2Families(), BertFamilies(), T5Families()}) {
    all.insert(all.end(), families.begin(), families.end());
  }
  return all;
}

std::string TextAt(const Json& root, const char* key) {
  return root.contains(key) && root[key].is_string() ? root[key].get<std::string>() : "";
}

std::string FirstArchitecture(const Json& root) {
  const auto found = root.find("architectures");
  const bool named =
      found != root.end() && found->is_array() && !found->empty() && (*found)[0].is_string();
  return named ? (*found)[0].get<std::string>() : "";
}

// By its architecture, or where none is named, by its type.
Result<Family> FindFamily(const Json& root, const std::string& where) {
  const std::string architecture = FirstArchitecture(root), type = TextAt(root, "model_type");
  std::string known;
  for (const Family& family : AllFamilies()) {
    const bool is_it =
        architecture.empty() ? type == family.model_type : architecture == family.architecture;
    if (is_it) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.architecture);
  }
  const std::string found = architecture.empty() ? type : architecture;
  return InvalidArgument(
             where + ": the architecture " +
             (found.empty() ? "is not named" : QuotedName(found) + " is not supported") +
             "; supported: " + known)
      .WithField("architectures");
}

void CheckSizes(const ModelConfig& config, FieldReader& fields) {
  if (config.heads % config.kv_heads != 0) {
    fields.Fail("num_key_value_heads",
                "must divide num_attention_heads " + std::to_string(config.heads));
  }
  if (!(config.norm_eps >= 0)) fields.Fail("rms_norm_eps", "must not be negative");
}

}  // namespace

Result<ModelConfig> ParseModelConfig(const std::string& json, const std::string& where) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return InvalidArgument(where + ": not a JSON object");
  ATTUNE_ASSIGN_OR_RETURN(const Family family, FindFamily(root, where));
  if (root.contains("quantization_config") && !root["quantization_config"].is_null()) {
    return InvalidArgument(where +
                           ": quantization_config: quantised safetensors are not supported; "
                           "use the unquantised model or a GGUF file")
        .WithField("quantization_config");
  }
  ModelConfig config;
  config.family = family.model_type;
  config.architecture = family.architecture;
  FieldReader fields(root, where);
  ATTUNE_RETURN_IF_ERROR(family.describe(fields, &config));
  CheckSizes(config, fields);
  ATTUNE_RETURN_IF_ERROR(fields.status());
  if (config.windows.empty()) config.windows.assign(static_cast<size_t>(config.layers), 0);
  config.json = json;
  return config;
}

Status CheckPredictsNext(const ModelConfig& config, const std::string& model) {
  if (config.head == HeadKind::kNextToken || config.head == HeadKind::kAnswer) return Status();
  return InvalidArgument("the model " + model + " is an encoder (" + config.architecture +
                         "): it predicts no next token, so that a job can only embed texts with it")
      .WithField("base");
}

std::string ConfigJson(const ModelConfig& config, const std::string& dtype) {
  Json root = Json::parse(config.json);
  root["architectures"] = {config.architecture};
  root["model_type"] = config.family;
  root["dtype"] = dtype;
  root.erase("torch_dtype");  // its older name
  root.erase("auto_map");  // code beside the original, which transformers' own class does not need
  return root.dump(2) + "\n";
}

}  // namespace attune
