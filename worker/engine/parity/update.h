#pragma once

// One update, made by the engine as a job makes it.

#include <filesystem>
#include <memory>

#include "common/base/status.h"
#include "worker/engine/parity/compare.h"

namespace attune::engine {

// How the update of the same examples is made.
struct Way {
  int world_size = 1, micro_batch = 1;
  bool packing = false, activation_checkpointing = false;
};

// The examples as a way has them.
struct WayPlan {
  int sequences = 0;     // all of an epoch
  int accumulation = 0;  // micro-batches of the rank that has most of them
};
// data: prepared.
Result<WayPlan> PlanOf(const PrepareTask& data, const Way& way);

// Trains the task's base for its first and only step, a thread a rank, and reads what came out. The
// task's run directory is gone afterwards. device: "cpu", or "cuda" for a device a rank. observer
// is asked whether to stop.
Result<Update> MakeUpdate(const TrainTask& task, int world_size, const std::string& device,
                          Observer& observer);

// The weights of a folder that training begins from or wrote: one file.
Result<std::shared_ptr<const SafetensorsFile>> OpenTrained(const std::filesystem::path& folder,
                                                           const std::string& method);

}  // namespace attune::engine
