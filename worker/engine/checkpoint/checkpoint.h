#pragma once

// Checkpoints: everything that a run needs to go on, bit by bit.
//
//   checkpoints/step-00000020/
//     model.safetensors or adapter_model.safetensors   what trains, float32
//     optimizer.safetensors                            its state, the Fisher information, averages
//     of
//                                                      the weights
//     state.json                                       CheckpointState, and size and sha256 of the
//     other files
//
// A checkpoint is written under another name, synced and renamed: a folder step-N is whole, or was
// damaged later, which the checksums show. One writer at a time, and no earlier one (fence.h).

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "worker/engine/checkpoint/fence.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {

struct CheckpointState {
  int step = 0;  // updates applied
  uint64_t seed = 0;
  std::string plan_digest;  // of the StepPlan
  int plan_format = 1;      // kPlanFormat of the program that made the plan
  uint32_t generation = 0;  // of the attempt that wrote it; 0: not known
  std::string config;  // what else must be equal for a resume to repeat the run; compared as text
  double loss = 0;     // of the last step
  std::optional<double> first_validation_loss;
  std::optional<double> last_validation_loss;  // when one was measured at this very step
  std::optional<double> last_validation_accuracy;
  double seconds = 0;  // of training, in all attempts up to here
  // Of the best evaluation by EvaluateOptions.metric.
  std::optional<double> best_validation_loss, best_validation_accuracy;
  int best_step = 0;
  int evaluations_without_gain = 0;  // since the last that was better by min_delta
};

struct CheckpointTensors {
  std::string weights_file;  // "model.safetensors" or "adapter_model.safetensors"
  NamedTensors weights;
  NamedTensors optimizer;
  bool optimizer_is_part = false;  // for loading: other ranks have the rest of it
};

// Writes folder/step-N and removes all but the `keep` (at least 1) newest up to it. On failure
// nothing of it is left; kResourceExhausted when the disk is full, kCancelled when the fence is
// another's by now.
Result<std::filesystem::path> WriteCheckpoint(const std::filesystem::path& folder,
                                              const CheckpointState& state,
                                              const CheckpointTensors& tensors, int keep,
                                              const Fence& fence = Fence());

// Where WriteCheckpoint puts that of a step.
std::filesystem::path CheckpointPath(const std::filesystem::path& folder, int step);

// Reads state.json and checks every file's size and checksum. kDataLoss says what is damaged.
Result<CheckpointState> VerifyCheckpoint(const std::filesystem::path& checkpoint);

// The same without a look at the other files: for one that another rank has verified.
Result<CheckpointState> ReadCheckpointState(const std::filesystem::path& checkpoint);

// Fills the tensors from a checkpoint.
Status LoadCheckpoint(const std::filesystem::path& checkpoint, const CheckpointTensors& tensors);

// Whether a folder of checkpoints has any, whole or not. kNotFound when that cannot be told: what
// is there cannot be read.
Result<bool> HasCheckpoint(const std::filesystem::path& folder);

struct FoundCheckpoint {
  std::filesystem::path path;
  CheckpointState state;
};
// The newest whole checkpoint in a folder of them; on_damaged hears of each that was passed over.
// Empty when there is none. kNotFound where one cannot be read now, or the folder: a run must not
// begin again for that.
Result<std::optional<FoundCheckpoint>> FindCheckpoint(
    const std::filesystem::path& folder, const std::function<void(const Status&)>& on_damaged);

}  // namespace attune::engine
