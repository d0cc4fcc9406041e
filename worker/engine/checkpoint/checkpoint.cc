#include "worker/engine/checkpoint/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "worker/engine/checkpoint/tensor_file.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kFormat[] = "attune-checkpoint-1";
constexpr char kStateFile[] = "state.json";
constexpr char kOptimizerFile[] = "optimizer.safetensors";
constexpr char kPrefix[] = "step-";
constexpr char kTemporaryPrefix[] = ".step-";

std::string FolderName(int step) {
  char name[32];
  std::snprintf(name, sizeof name, "%s%08d", kPrefix, step);
  return name;
}

Status FromErrorCode(const std::error_code& error, const std::string& what) {
  return ErrnoStatus(error.value(), what);
}

// What is there, but cannot be read from here: not to be taken for what was never written.
Status Unreadable(const Status& status) {
  return NotFound(status.message()).WithContext("checkpoints cannot be read");
}

// Steps of the folder's checkpoints, newest first; none where there is no folder.
Result<std::vector<std::pair<int, fs::path>>> List(const fs::path& folder) {
  std::vector<std::pair<int, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    int step = 0, length = 0;
    if (std::sscanf(name.c_str(), "step-%8d%n", &step, &length) == 1 &&
        length == static_cast<int>(name.size()) && step >= 0) {
      found.emplace_back(step, it->path());
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return Unreadable(FromErrorCode(error, "list " + folder.string()));
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

// Moves a checkpoint out of sight first, so that a crash leaves no half of it under its name.
void Remove(const fs::path& checkpoint) {
  std::error_code ignored;
  const fs::path hidden =
      checkpoint.parent_path() / ("." + checkpoint.filename().string() + ".old");
  fs::remove_all(hidden, ignored);
  fs::rename(checkpoint, hidden, ignored);
  fs::remove_all(hidden, ignored);
}

// What a writer or remover that was killed left behind.
void RemoveLeftovers(const fs::path& folder) {
  std::error_code error, ignored;
  std::vector<fs::path> leftovers;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with(kTemporaryPrefix))
      leftovers.push_back(it->path());
  }
  for (const fs::path& path : leftovers) fs::remove_all(path, ignored);
}

json OptionalNumber(const std::optional<double>& value) {
  return value ? json(*value) : json();
}

Result<std::string> StateJson(const fs::path& folder, const CheckpointState& state,
                              const std::vector<std::string>& files) {
  json entries = json::array();
  for (const std::string& file : files) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string sha256, Sha256OfFile(folder / file));
    std::error_code error;
    const uint64_t bytes = fs::file_size(folder / file, error);
    if (error) return FromErrorCode(error, "size of " + file);
    entries.push_back({{"name", file}, {"bytes", bytes}, {"sha256", sha256}});
  }
  const json document = {
      {"format", kFormat},
      {"step", state.step},
      {"seed", state.seed},
      {"plan_digest", state.plan_digest},
      {"plan_format", state.plan_format},
      {"generation", state.generation},
      {"config", state.config},
      {"loss", state.loss},
      {"first_validation_loss", OptionalNumber(state.first_validation_loss)},
      {"last_validation_loss", OptionalNumber(state.last_validation_loss)},
      {"seconds", state.seconds},
      {"best_validation_loss", OptionalNumber(state.best_validation_loss)},
      {"last_validation_accuracy", OptionalNumber(state.last_validation_accuracy)},
      {"best_validation_accuracy", OptionalNumber(state.best_validation_accuracy)},
      {"best_step", state.best_step},
      {"evaluations_without_gain", state.evaluations_without_gain},
      {"files", entries}};
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Status WriteInto(const fs::path& folder, const CheckpointState& state,
                 const CheckpointTensors& tensors) {
  ATTUNE_RETURN_IF_ERROR(SaveTensors(folder / tensors.weights_file, tensors.weights));
  ATTUNE_RETURN_IF_ERROR(SaveTensors(folder / kOptimizerFile, tensors.optimizer));
  ATTUNE_ASSIGN_OR_RETURN(const std::string text,
                          StateJson(folder, state, {tensors.weights_file, kOptimizerFile}));
  return WriteFileAtomically(folder / kStateFile, text);
}

std::optional<double> ReadOptional(const json& value) {
  return value.is_null() ? std::nullopt : std::optional<double>(value.get<double>());
}

Status CheckFile(const fs::path& folder, const json& entry) {
  const std::string name = entry.at("name").get<std::string>();
  if (name.empty() || fs::path(name).filename() != name)
    return DataLoss("a bad file name: '" + name + "'");
  const fs::path path = folder / name;
  std::error_code error;
  const uint64_t bytes = fs::file_size(path, error);
  if (error == std::errc::no_such_file_or_directory) return DataLoss(name + " is missing");
  if (error) return FromErrorCode(error, "size of " + path.string());
  if (bytes != entry.at("bytes").get<uint64_t>())
    return DataLoss(name + " has not the size it had");
  ATTUNE_ASSIGN_OR_RETURN(const std::string sha256, Sha256OfFile(path));
  if (sha256 != entry.at("sha256").get<std::string>())
    return DataLoss(name + " does not match its checksum");
  return Status();
}

Result<CheckpointState> ReadState(const fs::path& checkpoint, bool check_files) {
  auto text = ReadFile(checkpoint / kStateFile, 1 << 20);
  if (text.status().code() == StatusCode::kNotFound) return DataLoss(text.status().message());
  if (!text.ok()) return text.status();
  const json document = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return DataLoss(std::string(kStateFile) + " is no JSON object");
  if (document.at("format") != kFormat)
    return DataLoss(std::string(kStateFile) + " has an unknown format");
  if (check_files)
    for (const json& entry : document.at("files"))
      ATTUNE_RETURN_IF_ERROR(CheckFile(checkpoint, entry));
  return CheckpointState{
      .step = document.at("step").get<int>(),
      .seed = document.at("seed").get<uint64_t>(),
      .plan_digest = document.at("plan_digest").get<std::string>(),
      // Earlier checkpoints lack these.
      .plan_format = document.value("plan_format", 1),
      .generation = document.value("generation", 0u),
      .config = document.at("config").get<std::string>(),
      .loss = document.at("loss").get<double>(),
      .first_validation_loss = ReadOptional(document.at("first_validation_loss")),
      .last_validation_loss = ReadOptional(document.at("last_validation_loss")),
      .last_validation_accuracy = ReadOptional(document.value("last_validation_accuracy", json())),
      .seconds = document.value("seconds", 0.0),
      .best_validation_loss = ReadOptional(document.value("best_validation_loss", json())),
      .best_validation_accuracy = ReadOptional(document.value("best_validation_accuracy", json())),
      .best_step = document.value("best_step", 0),
      .evaluations_without_gain = document.value("evaluations_without_gain", 0)};
}

Result<CheckpointState> GuardedReadState(const fs::path& checkpoint, bool check_files) {
  const std::string context = "checkpoint " + checkpoint.string() + " is damaged";
  try {
    auto state = ReadState(checkpoint, check_files);
    if (state.status().code() == StatusCode::kDataLoss) return state.status().WithContext(context);
    return state;
  } catch (const std::exception& error) {
    return DataLoss(context + ": " + kStateFile + ": " + error.what());
  }
}

}  // namespace

Result<fs::path> WriteCheckpoint(const fs::path& folder, const CheckpointState& state,
                                 const CheckpointTensors& tensors, int keep, const Fence& fence) {
  ATTUNE_RETURN_IF_ERROR(fence.Check());
  ATTUNE_RETURN_IF_ERROR(CreateFolders(folder));
  RemoveLeftovers(folder);
  const fs::path final_path = CheckpointPath(folder, state.step);
  const fs::path temporary =
      folder / ("." + FolderName(state.step) + ".tmp." + std::to_string(fence.generation()));
  std::error_code error;
  fs::create_directory(temporary, error);
  if (error) return FromErrorCode(error, "create folder " + temporary.string());

  Status written = WriteInto(temporary, state, tensors);
  if (written.ok()) written = fence.Check();
  if (!written.ok()) {
    fs::remove_all(temporary, error);
    return written.WithContext("write checkpoint " + final_path.string());
  }
  if (fs::exists(final_path, error)) Remove(final_path);
  fs::rename(temporary, final_path, error);
  if (error) {
    const Status failed = FromErrorCode(error, "rename to " + final_path.string());
    fs::remove_all(temporary, error);
    return failed;
  }
  ATTUNE_RETURN_IF_ERROR(SyncFolder(folder));
  ATTUNE_RETURN_IF_ERROR(fence.Check());
  // Later ones are damaged: the run went on from before them. They must not crowd this one out.
  auto checkpoints = List(folder);
  if (!checkpoints.ok()) return final_path;  // it is written; the next one removes older ones
  std::erase_if(*checkpoints, [&](const auto& entry) { return entry.first > state.step; });
  for (size_t i = std::max(1, keep); i < checkpoints->size(); ++i) {
    Remove((*checkpoints)[i].second);
  }
  return final_path;
}

fs::path CheckpointPath(const fs::path& folder, int step) {
  return folder / FolderName(step);
}

Result<CheckpointState> VerifyCheckpoint(const fs::path& checkpoint) {
  return GuardedReadState(checkpoint, /*check_files=*/true);
}

Result<CheckpointState> ReadCheckpointState(const fs::path& checkpoint) {
  return GuardedReadState(checkpoint, /*check_files=*/false);
}

Status LoadCheckpoint(const fs::path& checkpoint, const CheckpointTensors& tensors) {
  ATTUNE_RETURN_IF_ERROR(LoadTensorsInto(checkpoint / tensors.weights_file, tensors.weights));
  return LoadTensorsInto(checkpoint / kOptimizerFile, tensors.optimizer, tensors.optimizer_is_part);
}

Result<bool> HasCheckpoint(const fs::path& folder) {
  ATTUNE_ASSIGN_OR_RETURN(const auto checkpoints, List(folder));
  return !checkpoints.empty();
}

Result<std::optional<FoundCheckpoint>> FindCheckpoint(
    const fs::path& folder, const std::function<void(const Status&)>& on_damaged) {
  ATTUNE_ASSIGN_OR_RETURN(const auto checkpoints, List(folder));
  for (const auto& [step, path] : checkpoints) {
    const auto state = VerifyCheckpoint(path);
    if (state.ok()) return std::optional(FoundCheckpoint{path, *state});
    if (state.status().code() != StatusCode::kDataLoss) return Unreadable(state.status());
    on_damaged(state.status());
  }
  return std::optional<FoundCheckpoint>();
}

}  // namespace attune::engine
