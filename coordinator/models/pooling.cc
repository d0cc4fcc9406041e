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

Status CheckModule(const fs::path& folder, const json& module) {
  const std::string type = TextAt(module, "type");
  const std::string kind = type.substr(type.rfind('.') + 1);
  if (kind == "Transformer" || kind == "Normalize") return Status();
  if (kind != "Pooling") {
    return InvalidArgument("a module of the type " + json(kind).dump() +
                           " is not supported; supported: Transformer, Pooling, Normalize");
  }
  const fs::path path = folder / fs::path(TextAt(module, "path")).filename() / "config.json";
  std::error_code error;
  if (!fs::exists(path, error)) return Status();
  ATTUNE_ASSIGN_OR_RETURN(const json config, ReadJsonObject(path));
  for (const auto& [key, value] : config.items()) {
    const bool is_mean = key == "pooling_mode_mean_tokens";
    if (!key.starts_with("pooling_mode_") || value == is_mean) continue;
    return InvalidArgument(path.string() + ": " + key + " is " + value.dump().substr(0, 20) +
                           ": only the mean over tokens is supported");
  }
  return Status();
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
