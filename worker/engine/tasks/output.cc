#include "worker/engine/tasks/output.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/model/adapter_labels.h"
#include "common/model/side_files.h"
#include "worker/engine/tasks/origin.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kGenerationConfig[] = "generation_config.json";
constexpr uint64_t kSideFileBytesMax = 256 << 20;

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

// If there is one, and not one there already.
Status CopyFile(const fs::path& from, const fs::path& to, const char* name) {
  std::error_code ignored;
  if (!fs::exists(from / name, ignored) || fs::exists(to / name, ignored)) return Status();
  ATTUNE_ASSIGN_OR_RETURN(const std::string content, ReadFile(from / name, kSideFileBytesMax));
  return WriteFileAtomically(to / name, content);
}

fs::path ParentOf(const fs::path& folder) {
  return folder.has_parent_path() ? folder.parent_path() : fs::path(".");
}

// Of the hidden folder that becomes this one, before the generation.
std::string HiddenPrefix(const fs::path& folder) {
  return "." + folder.filename().string() + ".tmp.";
}

}  // namespace

void RemoveUnfinished(const fs::path& folder, uint32_t generation) {
  const std::string prefix = HiddenPrefix(folder);
  std::error_code error, ignored;
  std::vector<fs::path> unfinished;
  for (fs::directory_iterator it(ParentOf(folder), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    const char* const end_of_name = name.data() + name.size();
    uint32_t wrote = 0;
    const auto [stop, failed] = std::from_chars(name.data() + prefix.size(), end_of_name, wrote);
    const bool whole = failed == std::errc() && stop == end_of_name;
    if (whole && wrote <= generation) unfinished.push_back(it->path());
  }
  for (const fs::path& path : unfinished) fs::remove_all(path, ignored);
}

Status WriteFolder(const fs::path& folder, uint32_t generation,
                   const std::function<Status(const fs::path&)>& write) {
  RemoveUnfinished(folder, generation);
  const fs::path parent = ParentOf(folder);
  const fs::path hidden = parent / (HiddenPrefix(folder) + std::to_string(generation));
  std::error_code error;
  fs::create_directories(hidden, error);
  if (error) return ErrnoStatus(error.value(), "create folder " + hidden.string());
  Status status = write(hidden);
  if (status.ok()) status = SyncFolder(hidden);
  if (status.ok()) {
    fs::rename(hidden, folder, error);
    if (error) status = ErrnoStatus(error.value(), "rename to " + folder.string());
  }
  if (!status.ok()) {
    fs::remove_all(hidden, error);
    return status.WithContext("write " + folder.string());
  }
  return SyncFolder(parent);
}

Status WriteModel(const fs::path& folder, const std::vector<OutputTensor>& tensors,
                  const std::string& dtype, const std::string& config_json,
                  const text::TextAssets& text) {
  ATTUNE_RETURN_IF_ERROR(WriteWeights(folder, tensors, dtype));
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(folder / "config.json", config_json));
  ATTUNE_RETURN_IF_ERROR(WriteText(folder, text));
  return WriteGenerationConfig(folder, text);
}

Status WriteAdapter(const fs::path& folder, const std::vector<OutputTensor>& tensors,
                    const std::string& dtype, const std::string& config_json,
                    const std::vector<std::string>& labels, const text::TextAssets& text) {
  if (!labels.empty()) {
    ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(folder / kLabelsFile, LabelsJson(labels)));
  }
  ATTUNE_RETURN_IF_ERROR(WriteTensors(folder / "adapter_model.safetensors", tensors, dtype));
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(folder / "adapter_config.json", config_json));
  return WriteText(folder, text);
}

Status CopySideFiles(const ModelFiles& model, const fs::path& folder, bool readme) {
  if (readme) ATTUNE_RETURN_IF_ERROR(CopyFile(model.path, folder, kReadme));
  for (const fs::path& from : {model.path, RootOf(model).path}) {
    for (const char* name : kSideFiles) ATTUNE_RETURN_IF_ERROR(CopyFile(from, folder, name));
  }
  return Status();
}

}  // namespace attune::engine
