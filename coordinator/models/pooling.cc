#include "coordinator/models/pooling.h"

#include <nlohmann/json.hpp>
#include <string>

#include "common/base/files.h"
#include "coordinator/models/json.h"

namespace attune::models {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kModulesBytesMax = 1 << 20;

std::string TextAt(const json& object, const char* key) {
  const json value = object.is_object() ? object.value(key, json()) : json();
  return value.is_string() ? value.get<std::string>() : "";
}

// Since sentence-transformers 5 `pooling_mode` names it; before, a flag for each mode.
Status CheckMean(const json& config, const std::string& where) {
  const auto other = [&](const std::string& key, const json& value) {
    return InvalidArgument(where + ": " + key + " is " + value.dump().substr(0, 40) +
                           ": only the mean over tokens is supported");
  };
  if (const auto mode = config.find("pooling_mode"); mode != config.end()) {
    return *mode == "mean" || *mode == json::array({"mean"}) ? Status() : other(mode.key(), *mode);
  }
  bool named = false;
  for (const auto& [key, value] : config.items()) {
    if (!key.starts_with("pooling_mode_")) continue;
    named = true;
    if (value != (key == "pooling_mode_mean_tokens")) return other(key, value);
  }
  return named ? Status() : InvalidArgument(where + " names no pooling_mode");
}

Status CheckModule(const fs::path& folder, const json& module) {
  const std::string type = TextAt(module, "type");
  const std::string kind = type.substr(type.rfind('.') + 1);
  if (kind == "Transformer" || kind == "Normalize") return Status();
  if (kind != "Pooling") {
    return InvalidArgument("a module of the type " + json(kind).dump() +
                           " is not supported; supported: Transformer, Pooling, Normalize");
  }
  fs::path inside(TextAt(module, "path"));
  if (!inside.has_filename()) inside = inside.parent_path();  // "1_Pooling/"
  if (inside.empty() || inside != inside.filename() || inside == "..") {
    return InvalidArgument("the path " + json(inside.string()).dump() + " is no folder beside it");
  }
  const fs::path path = folder / inside / "config.json";
  ATTUNE_ASSIGN_OR_RETURN(const json config, ReadJsonObject(path));
  return CheckMean(config, path.string());
}

}  // namespace

Status CheckPooling(const fs::path& folder) {
  const fs::path path = folder / "modules.json";
  const auto text = ReadFile(path, kModulesBytesMax);
  if (text.status().code() == StatusCode::kNotFound) return Status();
  if (!text.ok()) return text.status();
  const json modules = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!modules.is_array()) return InvalidArgument(path.string() + " is not a JSON list");
  for (const json& module : modules) {
    Status status = CheckModule(folder, module);
    if (!status.ok()) return status.WithContext(path.string());
  }
  return Status();
}

}  // namespace attune::models
