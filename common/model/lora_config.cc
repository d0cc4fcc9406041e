#include "common/model/lora_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "common/model/lora_modules.h"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;  // the first pattern that fits counts, as in peft

Status CheckScale(int rank, double alpha) {
  if (rank < 1 || rank > 4096) {
    return InvalidArgument("the LoRA rank must be from 1 to 4096, not " + std::to_string(rank))
        .WithField("method.rank");
  }
  if (!(alpha > 0) || !std::isfinite(alpha)) {
    return InvalidArgument("the LoRA alpha must be more than 0").WithField("method.alpha");
  }
  return Status();
}

Status CheckValues(const LoraConfig& config) {
  ATTUNE_RETURN_IF_ERROR(CheckScale(config.rank, config.alpha));
  for (const LoraModule& module : config.modules) {
    ATTUNE_RETURN_IF_ERROR(CheckScale(module.rank, module.alpha));
  }
  if (!(config.dropout >= 0 && config.dropout < 1)) {
    return InvalidArgument("the LoRA dropout must be at least 0 and below 1")
        .WithField("method.dropout");
  }
  if (config.bias != "none" && config.bias != "lora_only" && config.bias != "all") {
    return InvalidArgument("the LoRA bias must be none, lora_only or all, not \"" + config.bias +
                           "\"")
        .WithField("method.bias");
  }
  if (config.dora && config.lora_bias) {
    return InvalidArgument("DoRA (use_dora) has no lora_bias").WithField("lora_bias");
  }
  if (config.modules.empty()) {
    return InvalidArgument("the LoRA adapter has no target modules")
        .WithField("method.target_modules");
  }
  return {};
}

bool IsSet(const Json& root, const char* key) {
  if (!root.contains(key)) return false;
  const Json& value = root[key];
  if (value.is_null() || value == false || value == "none") return false;
  return !((value.is_object() || value.is_array()) && value.empty());
}

// A value for messages.
std::string Shown(const Json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/true).substr(0, 60);
}

// The ways to start A and B that leave the base's weights alone. The others (PiSSA, OLoRA, LoftQ,
// CorDA, LoRA-GA) take the adapter's start out of the base, and the adapter fits only what is left.
Status CheckStart(const Json& root, const std::string& where) {
  const Json start = root.value("init_lora_weights", Json(true));
  if (start.is_null() || start.is_boolean()) return Status();
  for (const char* harmless : {"gaussian", "orthogonal", "eva", "mica"}) {
    if (start == harmless) return Status();
  }
  return InvalidArgument(
             where + ": init_lora_weights = " + Shown(start) +
             " changes the base's weights before training, so the adapter is wrong on the base "
             "itself. Save it as an ordinary adapter (peft: save_pretrained(folder, "
             "path_initial_model_for_weight_conversion=...)), or merge it (merge_and_unload) and "
             "import the whole model")
      .WithField("init_lora_weights");
}

// What peft has and Attune has not.
Status CheckFeatures(const Json& root, const std::string& where) {
  for (const char* key : {"layer_replication", "trainable_token_indices", "target_parameters",
                          "alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config",
                          "kasa_config", "monteclora_config"}) {
    if (IsSet(root, key)) {
      return InvalidArgument(where + ": " + key + " = " + Shown(root[key]) + " is not supported")
          .WithField(key);
    }
  }
  return CheckStart(root, where);
}

Status WrongType(const char* key, const char* wanted) {
  return InvalidArgument(std::string(key) + " must be " + wanted).WithField(key);
}

// A list of names, or a pattern.
Status ReadNames(const Json& root, const char* key, std::vector<std::string>* names,
                 NamePattern* pattern) {
  const Json value = root.value(key, Json());
  if (value.is_null()) return Status();
  if (value.is_string() && pattern != nullptr) {
    ATTUNE_ASSIGN_OR_RETURN(*pattern, MakeNamePattern(value.get<std::string>(), key));
    return Status();
  }
  if (!value.is_array()) return WrongType(key, "a list of names");
  for (const Json& name : value) {
    if (!name.is_string()) return WrongType(key, "a list of names");
    names->push_back(name.get<std::string>());
  }
  return Status();
}

// "all-linear" is no pattern.
Status ReadTargets(const Json& root, LoraNaming* naming) {
  const Json value = root.value("target_modules", Json());
  std::string lower = value.is_string() ? value.get<std::string>() : "";
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (lower == kAllLinear) {
    naming->targets = {kAllLinear};
    return Status();
  }
  return ReadNames(root, "target_modules", &naming->targets, &naming->target_pattern);
}

// A number, or a list of numbers; and what the layers' numbers stand behind.
Status ReadLayers(const Json& root, LoraNaming* naming, LoraConfig* config) {
  Json layers = root.value("layers_to_transform", Json());
  if (layers.is_null()) return Status();
  if (layers.is_number_integer()) layers = Json::array({layers});
  if (!layers.is_array()) return WrongType("layers_to_transform", "whole numbers");
  for (const Json& layer : layers) {
    if (!layer.is_number_integer()) return WrongType("layers_to_transform", "whole numbers");
    config->layers.push_back(layer.get<int64_t>());
  }
  Json patterns = root.value("layers_pattern", Json());
  if (patterns.is_string()) patterns = Json::array({patterns});
  ATTUNE_RETURN_IF_ERROR(ReadNames(Json{{"layers_pattern", patterns}}, "layers_pattern",
                                   &naming->layer_patterns, nullptr));
  std::erase(naming->layer_patterns, "");
  for (const std::string& pattern : naming->layer_patterns) {
    ATTUNE_RETURN_IF_ERROR(MakeNamePattern(pattern, "layers_pattern").status());
  }
  return Status();
}

template <typename Number>
Status ReadPatterns(const Json& root, const char* key,
                    std::vector<std::pair<NamePattern, Number>>* patterns) {
  const Json value = root.value(key, Json());
  if (value.is_null()) return Status();
  if (!value.is_object()) return WrongType(key, "an object of numbers");
  for (const auto& [name, number] : value.items()) {
    if (!number.is_number()) return WrongType(key, "an object of numbers");
    ATTUNE_ASSIGN_OR_RETURN(NamePattern pattern, MakeEndPattern(name, key));
    const double bounded = std::clamp(number.get<double>(), -1.0, double{1 << 20});
    patterns->emplace_back(std::move(pattern), static_cast<Number>(bounded));
  }
  return Status();
}

Status ReadModules(const Json& root, const ModelConfig& model, LoraConfig* config) {
  LoraNaming naming;
  ATTUNE_RETURN_IF_ERROR(ReadTargets(root, &naming));
  ATTUNE_RETURN_IF_ERROR(
      ReadNames(root, "exclude_modules", &naming.excluded, &naming.excluded_pattern));
  ATTUNE_RETURN_IF_ERROR(ReadNames(root, "modules_to_save", &config->modules_to_save, nullptr));
  ATTUNE_RETURN_IF_ERROR(ReadLayers(root, &naming, config));
  ATTUNE_RETURN_IF_ERROR(ReadPatterns(root, "rank_pattern", &naming.ranks));
  ATTUNE_RETURN_IF_ERROR(ReadPatterns(root, "alpha_pattern", &naming.alphas));
  // Earlier ones of peft do not write that it does.
  naming.trains_head = root.value("task_type", Json()) == "SEQ_CLS";
  naming.ensure_weight_tying = root.value("ensure_weight_tying", Json(false)) == true;
  return Resolve(naming, model, config);
}

Json Number(double value) {
  if (value == std::floor(value)) return static_cast<int64_t>(value);
  return value;
}

// Short names, where they name what is adapted and nothing else; else whole names.
std::set<std::string> TargetNames(const LoraConfig& config, const ModelConfig& model) {
  std::set<std::string> adapted, names;
  for (const LoraModule& module : config.modules) {
    adapted.insert(module.name);
    names.insert(ShortName(module.name));
  }
  for (const std::string& tensor : TensorNames(model)) {
    const std::string module = tensor.substr(0, tensor.rfind('.'));
    const bool named = names.contains(ShortName(module)) && !IsSaved(config, module) &&
                       (config.layers.empty() ||
                        std::ranges::find(config.layers, LayerOf(module)) != config.layers.end());
    if (named != adapted.contains(module)) return adapted;
  }
  return names;
}

bool TiesOwn(const LoraConfig& config, const ModelConfig& model) {
  return model.tied_embeddings &&
         std::ranges::find(config.own, model.names.embedding + ".weight") != config.own.end();
}

// peft ties what is called by the embedding's whole name.
Json SavedNames(const LoraConfig& config, const ModelConfig& model) {
  if (config.modules_to_save.empty()) return nullptr;
  if (!TiesOwn(config, model)) return config.modules_to_save;
  std::vector<std::string> names = config.modules_to_save;
  std::erase_if(names, [&](const std::string& name) {
    return model.names.embedding.ends_with(name) || model.names.head.ends_with(name);
  });
  names.push_back(model.names.embedding);
  return names;
}

Json Pattern(const LoraConfig& config, auto value) {
  Json pattern = Json::object();
  for (const LoraModule& module : config.modules) {
    const LoraModule usual{module.name, config.rank, config.alpha};
    if (value(module) != value(usual)) pattern[module.name] = value(module);
  }
  return pattern;
}

// peft wraps the model by it; none fits a model of masked tokens.
Json TaskType(HeadKind head) {
  switch (head) {
    case HeadKind::kNextToken:
      return "CAUSAL_LM";
    case HeadKind::kAnswer:
      return "SEQ_2_SEQ_LM";
    case HeadKind::kLabels:
      return "SEQ_CLS";
    case HeadKind::kNone:
      return "FEATURE_EXTRACTION";
    case HeadKind::kMaskedToken:
      break;
  }
  return nullptr;
}

}  // namespace

double LoraConfig::scale(const LoraModule& module) const {
  const auto rank = static_cast<double>(module.rank);
  return module.alpha / (rank_stabilized ? std::sqrt(rank) : rank);
}

Result<LoraConfig> WithModules(LoraConfig config, const std::vector<std::string>& targets,
                               const ModelConfig& model) {
  ATTUNE_RETURN_IF_ERROR(Resolve({.targets = targets, .all_match = true}, model, &config));
  ATTUNE_RETURN_IF_ERROR(CheckValues(config));
  return config;
}

Result<LoraConfig> ParseLoraConfig(const std::string& json, const ModelConfig& model,
                                   const std::string& where) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return InvalidArgument(where + ": not a JSON object");
  if (root.value("peft_type", Json()) != "LORA") {
    return InvalidArgument(where + ": peft_type must be LORA").WithField("peft_type");
  }
  ATTUNE_RETURN_IF_ERROR(CheckFeatures(root, where));
  LoraConfig config;
  if (!root.contains("r") || !root["r"].is_number_integer()) {
    return InvalidArgument(where + ": r must be a whole number").WithField("r");
  }
  config.rank = static_cast<int>(std::clamp<int64_t>(root["r"].get<int64_t>(), -1, 1 << 20));
  if (!root.contains("lora_alpha") || !root["lora_alpha"].is_number()) {
    return InvalidArgument(where + ": lora_alpha must be a number").WithField("lora_alpha");
  }
  config.alpha = root["lora_alpha"].get<double>();
  if (root.contains("lora_dropout") && root["lora_dropout"].is_number()) {
    config.dropout = root["lora_dropout"].get<double>();
  }
  config.rank_stabilized = root.value("use_rslora", Json(false)) == true;
  config.dora = root.value("use_dora", Json(false)) == true;
  config.lora_bias = root.value("lora_bias", Json(false)) == true;
  const Json bias = root.value("bias", Json("none"));
  if (bias.is_string()) config.bias = bias.get<std::string>();
  if (Status status = ReadModules(root, model, &config); !status.ok()) {
    return status.WithContext(where);
  }
  if (Status status = CheckValues(config); !status.ok()) return status.WithContext(where);
  return config;
}

std::string LoraConfigJson(const LoraConfig& config, const ModelConfig& model,
                           const std::string& base) {
  Json root = {
      {"peft_type", "LORA"},
      {"task_type", TaskType(model.head)},
      {"base_model_name_or_path", base},
      {"r", config.rank},
      {"lora_alpha", Number(config.alpha)},
      {"lora_dropout", config.dropout},
      {"target_modules", TargetNames(config, model)},
      {"layers_to_transform", config.layers.empty() ? Json() : Json(config.layers)},
      {"use_rslora", config.rank_stabilized},
      {"use_dora", config.dora},
      {"bias", config.bias},
      {"lora_bias", config.lora_bias},
      {"fan_in_fan_out", model.transposed_linears},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"modules_to_save", SavedNames(config, model)},
      {"rank_pattern", Pattern(config, [](const LoraModule& m) { return m.rank; })},
      {"alpha_pattern", Pattern(config, [](const LoraModule& m) { return m.alpha; })},
  };
  if (TiesOwn(config, model)) root["ensure_weight_tying"] = true;  // earlier ones of peft lack it
  return root.dump(2) + "\n";
}

std::string LoraTensorName(const std::string& module, const std::string& tensor) {
  return "base_model.model." + module + "." + tensor;
}

std::string OwnTensorName(const LoraConfig& config, const std::string& tensor) {
  const std::string module = tensor.substr(0, tensor.rfind('.'));
  if (std::ranges::find(config.modules, module, &LoraModule::name) == config.modules.end()) {
    return "base_model.model." + tensor;
  }
  return LoraTensorName(module, "base_layer" + tensor.substr(module.size()));
}

}  // namespace attune
