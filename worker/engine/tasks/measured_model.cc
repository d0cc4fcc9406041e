#include "worker/engine/tasks/measured_model.h"

#include "common/base/files.h"
#include "common/model/folder_checksum.h"
#include "worker/engine/formats/weights.h"
#include "worker/engine/tasks/export.h"
#include "worker/engine/tasks/origin.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

Result<FolderChecksum> ChecksumOf(const fs::path& path) {
  std::error_code error;
  // The registry keeps folders; a library may be given a GGUF file.
  return ChecksumFolder(fs::is_directory(path, error) ? path : path.parent_path());
}

}  // namespace

MeasuredModel::MeasuredModel(MeasuredModel&& other) noexcept
    : files_(std::move(other.files_)), written_(std::move(other.written_)) {
  other.written_.clear();
}

MeasuredModel::~MeasuredModel() {
  std::error_code ignored;
  if (!written_.empty()) fs::remove_all(written_, ignored);
}

Result<MeasuredModel> MeasuredModel::Make(const EvaluateTask& task, Observer& observer) {
  MeasuredModel measured;
  measured.files_ = task.model;
  // A prompt is served beside its base.
  const bool merge = task.merge && !IsPrompt(task.model);
  if (!merge && task.dtype.empty()) return measured;
  measured.written_ = task.run_directory / "measured";
  const fs::path folder = measured.written_ / "model";
  std::error_code error;
  fs::remove_all(measured.written_, error);  // of an attempt that was killed
  ATTUNE_RETURN_IF_ERROR(CreateFolders(measured.written_));
  const ExportTask exported{
      .model = task.model, .folder = folder, .merge = merge, .dtype = task.dtype};
  ATTUNE_RETURN_IF_ERROR(WriteExported(exported, observer).status());
  measured.files_.path = folder;
  measured.files_.source.clear();
  if (merge || task.model.format != "peft-adapter") {
    measured.files_.format = "huggingface";
    measured.files_.base = nullptr;
  }
  return measured;
}

Result<ArtifactFacts> MeasuredModel::Facts() const {
  ArtifactFacts facts;
  ATTUNE_ASSIGN_OR_RETURN(const FolderChecksum own, ChecksumOf(files_.path));
  facts.checksum = own.sha256;
  facts.bytes = own.bytes;
  const ModelFiles& root = RootOf(files_);
  ATTUNE_ASSIGN_OR_RETURN(const auto weights, OpenWeights(root.path));
  for (const auto& [name, info] : weights->tensors()) {
    facts.parameters += static_cast<uint64_t>(info.elements());
  }
  facts.dtype = DtypeOf(weights->tensors());
  if (&root == &files_) return facts;
  ATTUNE_ASSIGN_OR_RETURN(const auto adapter, OpenWeights(files_.path));
  for (const auto& [name, info] : adapter->tensors()) {
    facts.parameters += static_cast<uint64_t>(info.elements());
  }
  ATTUNE_ASSIGN_OR_RETURN(const FolderChecksum base, ChecksumOf(root.path));
  facts.bytes += base.bytes;
  return facts;
}

}  // namespace attune::engine
