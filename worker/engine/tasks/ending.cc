#include "worker/engine/tasks/ending.h"

#include <cmath>
#include <cstdio>

namespace attune::engine {
namespace {

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

}  // namespace

bool NoteEvaluation(const EvaluateOptions& options, double loss, CheckpointState& state) {
  const std::optional<double> best = state.best_validation_loss;
  const bool gained = std::isfinite(loss) && (!best || loss < *best - options.min_delta);
  state.evaluations_without_gain = gained ? 0 : state.evaluations_without_gain + 1;
  if (!std::isfinite(loss) || (best && !(loss < *best))) return false;
  state.best_validation_loss = loss;
  state.best_step = state.step;
  return true;
}

std::string EndReason(const TrainTask& task, const CheckpointState& state) {
  const int max_seconds = task.data.train.max_seconds;
  if (max_seconds > 0 && state.seconds >= max_seconds) {
    return "train.max_seconds (" + std::to_string(max_seconds) + ") are over";
  }
  const EvaluateOptions& evaluate = task.evaluate;
  if (evaluate.patience > 0 && state.evaluations_without_gain >= evaluate.patience) {
    const std::string times = std::to_string(state.evaluations_without_gain);
    if (!state.best_validation_loss) {
      return "the validation loss was no number in " + times + " evaluations (evaluate.patience)";
    }
    return "the last " + times + " evaluations brought the validation loss not below " +
           Number(*state.best_validation_loss) + ", that of step " +
           std::to_string(state.best_step) +
           (evaluate.min_delta > 0 ? ", by at least " + Number(evaluate.min_delta) : "") +
           " (evaluate.patience)";
  }
  return "";
}

}  // namespace attune::engine
