#include "worker/engine/checkpoint/writer.h"

#include <utility>

namespace attune::engine {

CheckpointWriter::CheckpointWriter(std::filesystem::path folder, int keep, Fence fence)
    : folder_(std::move(folder)),
      keep_(keep),
      fence_(std::move(fence)),
      result_(Internal("no checkpoint was started")) {}

CheckpointWriter::~CheckpointWriter() {
  if (pending()) thread_.join();
}

void CheckpointWriter::Start(const CheckpointState& state, const CheckpointTensors& tensors) {
  ATTUNE_CHECK(!pending());
  thread_ = std::thread([this, state, tensors] {
    try {
      result_ = WriteCheckpoint(folder_, state, tensors, keep_, fence_);
    } catch (const std::exception& error) {
      result_ = Internal(std::string("write a checkpoint: ") + error.what());
    }
  });
}

Result<std::filesystem::path> CheckpointWriter::Finish() {
  ATTUNE_CHECK(pending());
  thread_.join();
  return result_;
}

}  // namespace attune::engine
