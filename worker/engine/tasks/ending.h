#pragma once

// When training ends before its plan does. No torch here.

#include <string>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// Takes an evaluation's loss, at state.step, into what state knows of the best one. True when it is
// the best so far.
bool NoteEvaluation(const EvaluateOptions& options, double loss, CheckpointState& state);

// Why training ends after the steps that the state has; empty where it goes on.
std::string EndReason(const TrainTask& task, const CheckpointState& state);

}  // namespace attune::engine
