#pragma once

// Whether a run fits into the memory of its ranks, and what to change where it does not: a pure
// decision. No torch here.

#include <string>
#include <vector>

#include "worker/engine/parallel/host_memory.h"
#include "worker/engine/tasks/memory.h"

namespace attune::engine {

// What would need more than there is if its prediction were too low by as much may not fit.
inline constexpr double kPredictionError = 0.1;
// What needs more than there is by as much cannot fit: twice as much as predictions are off, since
// what might run is not refused.
inline constexpr double kSureError = 0.2;

struct AdmissionFacts {
  const TrainTask& task;
  const ModelConfig& config;                   // of the base
  const LargestBatches& batches;               // of sizes up to train.micro_batch
  std::vector<std::vector<MemoryPool>> pools;  // by rank: what it draws from
  bool gpu = false;                            // ranks are GPUs
};

struct Admission {
  enum class Verdict { kFits, kMayNotFit, kCannotFit };
  Verdict verdict = Verdict::kFits;
  MemoryPrediction need;  // of a rank
  // Where it is not sure to fit: what is needed, what there is, and the smallest change that fits,
  // in keys of the spec; changes of a step's cut come before those of what is learned.
  std::string message;
  std::string field;  // the first key of the change
};

// kInvalidArgument when the method's target modules match nothing.
Result<Admission> Admit(const AdmissionFacts& facts);

}  // namespace attune::engine
