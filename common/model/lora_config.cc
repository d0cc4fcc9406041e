#include "common/model/lora_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

namespace attune {
namespace {

using Json = nlohmann::json;

std::string ShortName(const std::string& module) {
  return module.substr(module.rfind('.') + 1);
}

bool HasPart(const std::string& module, std::initializer_list<const char*> parts) {
  return std::ranges::any_of(parts, [&](const char* part) {
    return module.find("." + std::string(part) + ".") != std::string::npos;
  });
}

bool Matches(const std::string& module, const std::string& target) {
  if (target == "all-linear") return true;
  if (target == "attention") {
    return HasPart(module, {"self_attn", "attn", "SelfAttention", "EncDecAttention"});
  }
  if (target == "mlp") return HasPart(module, {"mlp", "DenseReluDense"});
  return module == target || (module.size() > target.size() && module.ends_with(target) &&
                              module[module.size() - target.size() - 1] == '.');
}

size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// Embeddings and head, which peft can adapt or train beside an adapter.
bool IsEmbedding(const std::string& target) {
  const std::string name = ShortName(target);
  return name == "lm_head" || name == "embed_tokens";
}

Status NoSuchTarget(const std::string& target, const std::vector<std::string>& modules) {
  if (IsEmbedding(target)) {
    return InvalidArgument(ShortName(target) +
                           " cannot be adapted yet: only the linear layers of the blocks can "
                           "(all-linear, attention, mlp, or their names)")
        .WithField("method.target_modules");
  }
  std::set<std::string> names = {"all-linear", "attention", "mlp"};
  for (const std::string& module : modules) names.insert(ShortName(module));
  std::vector<std::string> nearest(names.begin(), names.end());
  std::ranges::stable_sort(nearest, {},
                           [&](const std::string& n) { return EditDistance(n, target); });
  std::string message = "no linear layer of the model is named \"" + target + "\"; did you mean " +
                        nearest[0] + "? Names:";
  for (const std::string& name : names) message += " " + name;
  return InvalidArgument(message).WithField("method.target_modules");
}

Result<std::vector<std::string>> Select(const std::vector<std::string>& targets,
                                        const std::vector<std::string>& modules, bool all) {
  std::vector<bool> chosen(modules.size());
  bool any = false;
  for (const std::string& target : targets) {
    bool found = false;
    for (size_t i = 0; i < modules.size(); ++i) {
      if (target.empty() || !Matches(modules[i], target)) continue;
      chosen[i] = found = true;
    }
    if (!found && (all || IsEmbedding(target))) return NoSuchTarget(target, modules);
    any = any || found;
  }
  if (!any && !targets.empty()) return NoSuchTarget(targets.front(), modules);
  std::vector<std::string> selected;
  for (size_t i = 0; i < modules.size(); ++i) {
    if (chosen[i]) selected.push_back(modules[i]);
  }
  return selected;
}

Status CheckValues(const LoraConfig& config) {
  if (config.rank < 1 || config.rank > 4096) {
    return InvalidArgument("the LoRA rank must be from 1 to 4096, not " +
                           std::to_string(config.rank))
        .WithField("method.rank");
  }
  if (!(config.alpha > 0) || !std::isfinite(config.alpha)) {
    return InvalidArgument("the LoRA alpha must be more than 0").WithField("method.alpha");
  }
  if (!(config.dropout >= 0 && config.dropout < 1)) {
    return InvalidArgument("the LoRA dropout must be at least 0 and below 1")
        .WithField("method.dropout");
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

// What peft has and Attune has not; the message says why where it is not plain.
Status CheckFeatures(const Json& root, const std::string& where) {
  if (IsSet(root, "modules_to_save")) {
    return InvalidArgument(where + ": modules_to_save = " + Shown(root["modules_to_save"]) +
                           ": embeddings and head cannot be trained beside an adapter yet")
        .WithField("modules_to_save");
  }
  for (const char* key :
       {"use_dora", "rank_pattern", "alpha_pattern", "layers_to_transform", "layer_replication",
        "lora_bias", "trainable_token_indices", "target_parameters", "exclude_modules", "bias",
        "alora_invocation_tokens", "use_qalora", "use_bdlora", "arrow_config", "kasa_config",
        "monteclora_config"}) {
    if (IsSet(root, key)) {
      return InvalidArgument(where + ": " + key + " = " + Shown(root[key]) + " is not supported")
          .WithField(key);
    }
  }
  return CheckStart(root, where);
}

}  // namespace

double LoraConfig::scale() const {
  return alpha /
         (rank_stabilized ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank));
}

Result<LoraConfig> WithModules(LoraConfig config, const std::vector<std::string>& targets,
                               const std::vector<std::string>& modules) {
  ATTUNE_ASSIGN_OR_RETURN(config.modules, Select(targets, modules, /*all=*/true));
  ATTUNE_RETURN_IF_ERROR(CheckValues(config));
  return config;
}

Result<LoraConfig> ParseAdapterConfig(const std::string& json,
                                      const std::vector<std::string>& modules,
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
  std::vector<std::string> targets;
  const Json& named = root.value("target_modules", Json());
  if (named.is_string()) {
    targets.push_back(named.get<std::string>());
  } else if (named.is_array()) {
    for (const Json& name : named)
      targets.push_back(name.is_string() ? name.get<std::string>() : "");
  }
  // As peft does: lists are written for many models, and name layers that this one lacks.
  Result<std::vector<std::string>> selected = Select(targets, modules, /*all=*/false);
  if (!selected.ok()) return selected.status().WithContext(where);
  config.modules = std::move(selected).value();
  if (Status status = CheckValues(config); !status.ok()) return status.WithContext(where);
  return config;
}

std::string AdapterConfigJson(const LoraConfig& config, const std::vector<std::string>& modules,
                              bool transposed, const std::string& base) {
  const std::set<std::string> adapted(config.modules.begin(), config.modules.end());
  std::set<std::string> names;
  for (const std::string& module : config.modules) names.insert(ShortName(module));
  const bool uniform = std::ranges::all_of(modules, [&](const std::string& module) {
    return adapted.contains(module) == names.contains(ShortName(module));
  });
  Json alpha = config.alpha;
  if (config.alpha == std::floor(config.alpha)) alpha = static_cast<int64_t>(config.alpha);
  const Json root = {
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", base},
      {"r", config.rank},
      {"lora_alpha", alpha},
      {"lora_dropout", config.dropout},
      {"target_modules", uniform ? names : adapted},
      {"use_rslora", config.rank_stabilized},
      {"use_dora", false},
      {"bias", "none"},
      {"fan_in_fan_out", transposed},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"modules_to_save", nullptr},
      {"rank_pattern", Json::object()},
      {"alpha_pattern", Json::object()},
  };
  return root.dump(2) + "\n";
}

std::string LoraTensorName(const std::string& module, char matrix) {
  return "base_model.model." + module + ".lora_" + matrix + ".weight";
}

}  // namespace attune
