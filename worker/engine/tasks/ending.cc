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

bool ByAccuracy(const EvaluateOptions& options) {
  return options.metric == "accuracy";
}

// In what patience and keep_best go by.
std::optional<double> BestOf(const EvaluateOptions& options, const CheckpointState& state) {
  return ByAccuracy(options) ? state.best_validation_accuracy : state.best_validation_loss;
}

}  // namespace

bool NoteEvaluation(const EvaluateOptions& options, const EvaluationReport& report,
                    CheckpointState& state) {
  state.last_validation_loss = report.loss;
  state.last_validation_accuracy = report.accuracy;
  const std::optional<double> best = BestOf(options, state);
  const double value = ByAccuracy(options) ? report.accuracy.value_or(NAN) : report.loss;
  // By how much it is better.
  const double gain = !best ? INFINITY : ByAccuracy(options) ? value - *best : *best - value;
  const bool gained = std::isfinite(value) && (!best || gain > options.min_delta);
  state.evaluations_without_gain = gained ? 0 : state.evaluations_without_gain + 1;
  if (!std::isfinite(value) || !(gain > 0)) return false;
  state.best_validation_loss = report.loss;
  state.best_validation_accuracy = report.accuracy;
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
    const std::string metric = ByAccuracy(evaluate) ? "accuracy" : "loss";
    const std::optional<double> best = BestOf(evaluate, state);
    if (!best) {
      return "the validation " + metric + " was no number in " + times +
             " evaluations (evaluate.patience)";
    }
    const std::string best_text =
        Number(*best) + ", that of step " + std::to_string(state.best_step);
    if (evaluate.min_delta > 0) {
      return "none of the last " + times + " evaluations brought a validation " + metric +
             " better by more than " + Number(evaluate.min_delta) +
             " (evaluate.min_delta), the best is " + best_text + " (evaluate.patience)";
    }
    return "the last " + times + " evaluations brought the validation " + metric + " not " +
           (ByAccuracy(evaluate) ? "above " : "below ") + best_text + " (evaluate.patience)";
  }
  return "";
}

}  // namespace attune::engine
