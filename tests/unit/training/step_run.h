#pragma once

// Steps of a tiny Llama on examples in memory, on any number of ranks.

#include <string>
#include <vector>

#include "tests/unit/training/tiny_llama.h"
#include "worker/engine/tasks/step.h"

namespace attune::engine::testing {

struct StepRun {
  std::vector<StepReport> reports;
  NamedTensors parameters;  // after the last step
  NamedTensors fisher;      // of ewc
};

struct StepInput {
  ModelFiles model;  // LoRA is added where the task wants it and the model has none
  std::shared_ptr<TokenShard> shard;  // also what ewc measures
  TrainTask task;
  std::shared_ptr<const StepPlan> plan;  // null: the task's own
};

// Runs the first steps. Returns rank 0's run, having checked that all ranks reported the same
// numbers and hold the same bits.
StepRun RunSteps(const StepInput& input, int world_size, int steps);

}  // namespace attune::engine::testing
