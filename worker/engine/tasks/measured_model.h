#pragma once

// The files that an evaluation measures.

#include <cstdint>
#include <filesystem>
#include <string>

#include "common/base/status.h"
#include "worker/engine/evaluation.h"

namespace attune::engine {

// Of all files that serving needs: those of an adapter's base too.
struct ArtifactFacts {
  uint64_t bytes = 0;
  uint64_t parameters = 0;
  std::string dtype;
  std::string checksum;  // of the model's own folder, as the registry has it
};

// The model as it is, or what Export makes of it. Removes what was written when it is destroyed.
class MeasuredModel {
 public:
  // Errors: those of Export.
  static Result<MeasuredModel> Make(const EvaluateTask& task, Observer& observer);
  ~MeasuredModel();
  MeasuredModel(MeasuredModel&& other) noexcept;
  MeasuredModel& operator=(MeasuredModel&&) = delete;

  const ModelFiles& files() const { return files_; }
  // Reads every byte.
  Result<ArtifactFacts> Facts() const;

 private:
  MeasuredModel() = default;

  ModelFiles files_;
  std::filesystem::path written_;  // empty: nothing was
};

}  // namespace attune::engine
