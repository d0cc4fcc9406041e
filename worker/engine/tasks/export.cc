#include "worker/engine/tasks/export.h"

#include <algorithm>

#include "common/base/files.h"
#include "common/model/adapter_config.h"
#include "common/model/adapter_labels.h"
#include "common/model/side_files.h"
#include "common/model/tensors.h"
#include "worker/engine/adapters/merged_weights.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/model_card.h"
#include "worker/engine/tasks/moved.h"
#include "worker/engine/tasks/origin.h"
#include "worker/engine/tasks/output.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

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

Status CheckMerge(const ExportTask& task) {
  if (!task.merge || !IsPrompt(task.model)) return Status();
  return InvalidArgument("the adapter " + task.model.reference +
                         " is a prompt, rows before each text, which the weights of " +
                         RootOf(task.model).reference +
                         " cannot hold: export it without --merge, for peft")
      .WithField("merge");
}

// A model that is read from its files while it is written: never whole in memory.
struct Opened {
  ModelConfig config;
  std::unique_ptr<WeightSource> weights;  // of the base, or merged
  std::unique_ptr<WeightSource> adapter;  // null for a whole model
  AdapterConfig adapter_config;
};

// new_head: the base need not have the one that the configuration speaks of, which is the adapter's
// own.
Status CheckBase(const Opened& opened, bool new_head, const std::string& where) {
  TensorInfos found = opened.weights->tensors();
  if (!new_head) return CheckModelTensors(opened.config, found, where);
  for (const auto& [name, shape] : NewHeadTensors(opened.config, &found)) {
    const auto* lora = std::get_if<LoraConfig>(&opened.adapter_config);
    const bool own = lora != nullptr && std::ranges::find(lora->own, name) != lora->own.end();
    if (own) found[name] = {"F32", shape};
  }
  return CheckModelTensors(opened.config, found, where);
}

Result<Opened> OpenModel(const ModelFiles& model) {
  const ModelFiles& root = RootOf(model);
  const std::string where = root.path.string();
  Opened opened;
  ATTUNE_ASSIGN_OR_RETURN(const std::string config, ReadModelConfig(root.path));
  ATTUNE_ASSIGN_OR_RETURN(opened.config, ParseModelConfig(config, where + ": config.json"));
  bool new_head = false;
  if (model.format == "peft-adapter") {
    ATTUNE_ASSIGN_OR_RETURN(const auto labels, LabelsOfAdapter(model.path));
    const std::vector<std::string> old = opened.config.labels;
    ATTUNE_ASSIGN_OR_RETURN(opened.config, WithLabels(opened.config, labels));
    new_head = opened.config.labels != old;
  }
  ATTUNE_ASSIGN_OR_RETURN(opened.weights, OpenModelWeights(root.path, opened.config));
  if (model.format != "peft-adapter") {
    ATTUNE_RETURN_IF_ERROR(CheckBase(opened, new_head, where));
    return opened;
  }
  const fs::path config_path = model.path / "adapter_config.json";
  ATTUNE_ASSIGN_OR_RETURN(const std::string json, ReadFile(config_path));
  ATTUNE_ASSIGN_OR_RETURN(opened.adapter_config,
                          ParseAdapterConfig(json, opened.config, config_path.string()));
  ATTUNE_RETURN_IF_ERROR(CheckBase(opened, new_head, where));
  ATTUNE_ASSIGN_OR_RETURN(opened.adapter, OpenWeights(model.path));
  ATTUNE_RETURN_IF_ERROR(CheckAdapterTensors(opened.config, opened.adapter_config,
                                             opened.adapter->tensors(), model.path.string()));
  return opened;
}

std::vector<std::string> Names(const TensorInfos& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, info] : tensors) names.push_back(name);
  return names;
}

// attune.json and its card of what a job made; the README of what was imported. A merged adapter is
// another thing than its README says.
Status WriteOrigin(const ExportTask& task, const fs::path& folder, bool adapter) {
  const auto lineage = ReadFile(task.model.path / kAttuneFile);
  const bool as_it_is = adapter || task.model.format != "peft-adapter";
  if (!lineage.ok()) return CopySideFiles(task.model, folder, /*readme=*/as_it_is);
  const json document = json::parse(*lineage, nullptr, /*allow_exceptions=*/false);
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(folder / kAttuneFile, *lineage));
  ATTUNE_RETURN_IF_ERROR(
      WriteFileAtomically(folder / kReadme, ModelCard(document, RootOf(task.model), adapter)));
  return CopySideFiles(task.model, folder, /*readme=*/false);
}

Result<std::string> ChooseDtype(const ExportTask& task, const Opened& model) {
  if (!task.dtype.empty()) return task.dtype;
  if (model.adapter && !task.merge) return DtypeOf(model.adapter->tensors());
  return OriginalDtype(RootOf(task.model));
}

// What sentence-transformers reads of how rows become an embedding: the mean, which is all that an
// import takes. The registry keeps no folder within a model's.
Status WritePooling(const ModelConfig& config, const fs::path& folder) {
  const auto modules = ReadFile(folder / "modules.json");
  if (config.head != HeadKind::kNone || !modules.ok()) return Status();
  const json list = json::parse(*modules, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return Status();
  for (const json& module : list) {
    const bool pooling = module.is_object() && module.value("type", "").ends_with(".Pooling");
    const fs::path inside = pooling ? fs::path(module.value("path", "")).filename() : fs::path();
    if (inside.empty() || inside == "..") continue;
    const json mean = {{"word_embedding_dimension", config.hidden_size},
                       {"pooling_mode_cls_token", false},
                       {"pooling_mode_mean_tokens", true},
                       {"pooling_mode_max_tokens", false},
                       {"pooling_mode_mean_sqrt_len_tokens", false}};
    ATTUNE_RETURN_IF_ERROR(CreateFolders(folder / inside));
    ATTUNE_RETURN_IF_ERROR(
        WriteFileAtomically(folder / inside / "config.json", mean.dump(2) + "\n"));
  }
  return Status();
}

Status WriteExport(const ExportTask& task, Opened& model, const text::TextAssets& text,
                   const std::string& dtype, const fs::path& folder) {
  const bool adapter = model.adapter && !task.merge;
  if (adapter) {
    ATTUNE_RETURN_IF_ERROR(
        WriteAdapter(folder, OutputOf(*model.adapter, Names(model.adapter->tensors())), dtype,
                     AdapterConfigJson(model.adapter_config, model.config, PeftBase(task.model)),
                     model.config.labels, text));
    return WriteOrigin(task, folder, adapter);
  }
  if (model.adapter) {
    const LoraConfig& lora = std::get<LoraConfig>(model.adapter_config);  // else: CheckMerge
    ATTUNE_ASSIGN_OR_RETURN(
        model.weights, MergeWeights(std::move(model.weights), lora, model.config, *model.adapter));
  }
  ATTUNE_RETURN_IF_ERROR(WriteModel(folder, OutputOf(*model.weights, TensorNames(model.config)),
                                    dtype, ConfigJson(model.config, dtype), text));
  ATTUNE_RETURN_IF_ERROR(WriteOrigin(task, folder, adapter));
  return WritePooling(model.config, folder);
}

// Where a link leads, for a folder cannot be renamed to a link.
fs::path Target(const fs::path& folder) {
  std::error_code error;
  fs::path target = fs::weakly_canonical(folder, error);
  if (error) target = fs::absolute(folder).lexically_normal();
  return target.has_filename() ? target : target.parent_path();
}

}  // namespace

Result<json> WriteExported(const ExportTask& task, Observer& observer, const LookAtExport& look) {
  ATTUNE_RETURN_IF_ERROR(CheckFolder(task.folder));
  if (!task.dtype.empty()) ATTUNE_RETURN_IF_ERROR(CheckDtype(task.dtype));
  ATTUNE_RETURN_IF_ERROR(CheckMerge(task));
  observer.OnProgress({.phase = "loading"});
  ATTUNE_ASSIGN_OR_RETURN(const text::TextAssets text, LoadModelText(task.model));
  ATTUNE_ASSIGN_OR_RETURN(Opened model, OpenModel(task.model));
  const bool adapter = model.adapter && !task.merge;
  ATTUNE_ASSIGN_OR_RETURN(const std::string dtype, ChooseDtype(task, model));
  observer.OnProgress({.phase = "saving"});
  const fs::path folder = Target(task.folder);
  RemoveUnfinished(folder, UINT32_MAX);  // of another job, too, whose attempts are counted apart
  json line = {{"folder", folder.string()}, {"dtype", dtype}};
  const auto write = [&](const fs::path& path) -> Status {
    ATTUNE_RETURN_IF_ERROR(WriteExport(task, model, text, dtype, path));
    if (look) look(path, &line);
    return Status();
  };
  ATTUNE_RETURN_IF_ERROR(WriteFolder(folder, task.generation, write));
  if (adapter) {
    line["base"] = PeftBase(task.model);
    const std::string note = GgufBaseNote(RootOf(task.model));
    if (!note.empty()) line["note"] = note;
  }
  return line;
}

Status Export(const ExportTask& task, Observer& observer) {
  return Guarded([&]() -> Status {
    // An attempt that is lost while it compares leaves no folder for the next one to stumble over.
    const auto compare = [&](const fs::path& written, json* line) {
      (*line)["moved"] = HowMoved(task, written, observer);
    };
    const bool merges = task.merge && task.model.format == "peft-adapter";
    ATTUNE_ASSIGN_OR_RETURN(
        const json line, WriteExported(task, observer, merges ? LookAtExport(compare) : nullptr));
    observer.OnOutput(line.dump(-1, ' ', false, json::error_handler_t::replace));
    return Status();
  });
}

}  // namespace attune::engine
