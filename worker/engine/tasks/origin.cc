#include "worker/engine/tasks/origin.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "common/base/files.h"
#include "worker/engine/formats/weights.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string StringIn(const fs::path& file, const char* key) {
  const auto text = ReadFile(file);
  if (!text.ok()) return "";
  const json document = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object() || !document.contains(key) || !document[key].is_string()) return "";
  return document[key].get<std::string>();
}

// "name@version": what adapters were given before, which means nothing outside of the registry.
bool IsReference(const std::string& base) {
  return base.find('@') != std::string::npos && base.find('/') == std::string::npos;
}

// "Owner/Name" of .../models--Owner--Name/snapshots/REVISION; empty for another path.
std::string HubName(const fs::path& path) {
  constexpr std::string_view kPrefix = "models--";
  const fs::path snapshots = path.parent_path();
  std::string name = snapshots.parent_path().filename().string();
  if (snapshots.filename() != "snapshots" || !name.starts_with(kPrefix)) return "";
  name.erase(0, kPrefix.size());
  for (size_t at; (at = name.find("--")) != std::string::npos;) name.replace(at, 2, "/");
  return name;
}

}  // namespace

const ModelFiles& RootOf(const ModelFiles& model) {
  return model.format == "peft-adapter" && model.base ? *model.base : model;
}

bool IsPrompt(const ModelFiles& model) {
  return model.format == "peft-adapter" &&
         StringIn(model.path / "adapter_config.json", "peft_type") == "PROMPT_TUNING";
}

Result<std::string> OriginalDtype(const ModelFiles& root) {
  const std::string remembered = StringIn(root.path / kAttuneFile, "dtype");
  for (const char* dtype : {"float32", "bfloat16", "float16"}) {
    if (remembered == dtype) return remembered;
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> weights, OpenWeights(root.path));
  return DtypeOf(weights->tensors());
}

Result<std::string> ServedPrecision(const ModelFiles& model, bool on_gpu) {
  if (!on_gpu) return std::string("float32");
  ATTUNE_ASSIGN_OR_RETURN(const auto weights, OpenWeights(RootOf(model).path));
  return std::string(DtypeOf(weights->tensors()) == "float32" ? "float32" : "bfloat16");
}

std::string PeftBase(const ModelFiles& model) {
  if (model.format == "peft-adapter") {
    const std::string base =
        StringIn(model.path / "adapter_config.json", "base_model_name_or_path");
    if (!base.empty() && !IsReference(base)) return base;
  }
  const ModelFiles& root = RootOf(model);
  fs::path source = root.source.lexically_normal();
  if (!source.has_filename()) source = source.parent_path();
  if (const std::string name = HubName(source); !name.empty()) return name;
  std::error_code error;
  return !source.empty() && fs::exists(source, error) ? source.string() : root.path.string();
}

}  // namespace attune::engine
