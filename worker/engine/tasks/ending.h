#pragma once

// When training ends before its plan does. No torch here.

#include <string>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// Takes an evaluation, at state.step, into what state knows of the last and of the best one. True
// when it is the best so far. A metric that goes by accuracy needs reports that have it.
bool NoteEvaluation(const EvaluateOptions& options, const EvaluationReport& report,
                    CheckpointState& state);

// Why training ends after the steps that the state has; empty where it goes on.
std::string EndReason(const TrainTask& task, const CheckpointState& state);

}  // namespace attune::engine
