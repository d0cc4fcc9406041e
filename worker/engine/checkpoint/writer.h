#pragma once

// Writes a checkpoint while the forward and backward of the next step run, on a thread of its own.

#include <filesystem>
#include <thread>

#include "common/base/status.h"
#include "worker/engine/checkpoint/checkpoint.h"

namespace attune::engine {

// Not thread-safe: one thread calls it.
class CheckpointWriter {
 public:
  // Checkpoints of one run; see WriteCheckpoint.
  CheckpointWriter(std::filesystem::path folder, int keep, Fence fence = Fence());
  ~CheckpointWriter();  // waits
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Nothing may be pending. The tensors are written from where they are: until Finish has returned
  // nobody may change them.
  void Start(const CheckpointState& state, const CheckpointTensors& tensors);
  bool pending() const { return thread_.joinable(); }
  // Waits for what Start began. Its folder once it is durable, or why it is not.
  Result<std::filesystem::path> Finish();

 private:
  const std::filesystem::path folder_;
  const int keep_;
  const Fence fence_;
  std::thread thread_;
  Result<std::filesystem::path> result_;  // the thread's until it is joined
};

}  // namespace attune::engine
