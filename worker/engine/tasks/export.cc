#include "worker/engine/data/prepare.h"
#include "worker/engine/model/causal_lm.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/output.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

Status CheckFolder(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error)) return Status();
  if (!fs::is_directory(folder, error))
    return AlreadyExists(folder.string() + " exists and is no folder");
  if (!fs::is_empty(folder, error) || error) {
    return AlreadyExists("folder " + folder.string() + " is not empty: choose another or empty it");
  }
  return Status();
}

}  // namespace

Status Export(const ExportTask& task, Observer& observer) {
  ATTUNE_RETURN_IF_ERROR(CheckFolder(task.folder));
  return Guarded([&]() -> Status {
    observer.OnProgress({.phase = "loading"});
    ATTUNE_ASSIGN_OR_RETURN(const text::TextAssets text, LoadModelText(task.model));
    ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<CausalLM> model, CausalLM::Load(task.model, {}));
    observer.OnProgress({.phase = "saving"});
    const bool adapter_only = model->has_adapter() && !task.merge;
    const fs::path folder = fs::absolute(task.folder).lexically_normal();
    return WriteFolder(
        folder.has_filename() ? folder : folder.parent_path(), [&](const fs::path& path) {
          if (!adapter_only) return WriteModel(path, *model, text, /*merged=*/true);
          const std::string base = task.model.base ? task.model.base->reference : "";
          return WriteAdapter(path, *model, model->TrainableParameters(), base, text);
        });
  });
}

}  // namespace attune::engine
