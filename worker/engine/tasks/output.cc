#include "worker/engine/tasks/output.h"

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "worker/engine/checkpoint/tensor_file.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kGenerationConfig[] = "generation_config.json";

Status WriteText(const fs::path& folder, const text::TextAssets& text) {
  for (const auto& [name, content] : text.files) {
    if (name.empty() || fs::path(name).filename() != name) {
      return InvalidArgument("the tokenizer has a file with a bad name: '" + name + "'");
    }
    ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(folder / name, content));
  }
  return Status();
}

// transformers stops a generation at the ids of this file.
Status WriteGenerationConfig(const fs::path& folder, const text::TextAssets& text) {
  std::error_code ignored;
  if (fs::exists(folder / kGenerationConfig, ignored)) return Status();
  json config = json::object();
  if (text.tokenizer && !text.bos_token.empty()) {
    if (const int64_t id = text.tokenizer->TokenToId(text.bos_token); id >= 0)
      config["bos_token_id"] = id;
  }
  if (text.end_ids.size() == 1) config["eos_token_id"] = text.end_ids[0];
  if (text.end_ids.size() > 1) config["eos_token_id"] = text.end_ids;
  return WriteFileAtomically(folder / kGenerationConfig, config.dump(2) + "\n");
}

}  // namespace

Status WriteFolder(const fs::path& folder, const std::function<Status(const fs::path&)>& write) {
  const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  const fs::path hidden = parent / ("." + folder.filename().string() + ".tmp");
  std::error_code error;
  fs::remove_all(hidden, error);
  fs::create_directories(hidden, error);
  if (error) return ErrnoStatus(error.value(), "create folder " + hidden.string());
  Status status = write(hidden);
  if (status.ok()) status = SyncFolder(hidden);
  if (status.ok()) {
    fs::remove_all(folder, error);
    fs::rename(hidden, folder, error);
    if (error) status = ErrnoStatus(error.value(), "rename to " + folder.string());
  }
  if (!status.ok()) {
    fs::remove_all(hidden, error);
    return status.WithContext("write " + folder.string());
  }
  return SyncFolder(parent);
}

Status WriteModel(const fs::path& folder, const CausalLM& model, const text::TextAssets& text,
                  bool merged) {
  ATTUNE_RETURN_IF_ERROR(SaveTensors(folder / "model.safetensors", model.BaseParameters(merged)));
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(folder / "config.json", model.ConfigJson()));
  ATTUNE_RETURN_IF_ERROR(WriteText(folder, text));
  return WriteGenerationConfig(folder, text);
}

Status WriteAdapter(const fs::path& folder, const CausalLM& model, const NamedTensors& adapter,
                    const std::string& base_reference, const text::TextAssets& text) {
  ATTUNE_RETURN_IF_ERROR(SaveTensors(folder / "adapter_model.safetensors", adapter));
  ATTUNE_RETURN_IF_ERROR(
      WriteFileAtomically(folder / "adapter_config.json", model.AdapterConfigJson(base_reference)));
  return WriteText(folder, text);
}

}  // namespace attune::engine
