#include "worker/engine/tasks/check.h"

#include <cmath>

#include "worker/engine/adapters/resolve.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/optim/schedule.h"
#include "worker/engine/optim/state_bytes.h"

namespace attune::engine {
namespace {

Status Bad(const char* field, const std::string& message) {
  return InvalidArgument(std::string(field) + " " + message).WithField(field);
}

Status CheckMethod(const Method& method) {
  if (method.type == "full") return Status();
  if (TunesPrompt(method)) {
    return method.virtual_tokens >= 1 ? Status()
                                      : Bad("method.virtual_tokens", "must be at least 1");
  }
  if (method.type != "lora" && method.type != "qlora") {
    return Bad("method.type", "is '" + method.type + "': use full, lora, qlora or prompt-tuning");
  }
  if (method.rank < 1) return Bad("method.rank", "must be at least 1");
  if (!(method.alpha > 0)) return Bad("method.alpha", "must be above 0");
  if (!(method.dropout >= 0 && method.dropout < 1))
    return Bad("method.dropout", "must be in [0, 1)");
  if (method.bias != "none" && method.bias != "lora_only" && method.bias != "all") {
    return Bad("method.bias", "is '" + method.bias + "': use none, lora_only or all");
  }
  if (method.target_modules.empty()) return Bad("method.target_modules", "names no module");
  return Status();
}

// What a method does not do with what is learned.
Status CheckMethodOf(const Method& method, const std::string& objective) {
  const bool next_tokens = objective == "causal-lm" || objective == "preference";
  if (TunesPrompt(method) && !next_tokens && objective != "auto") {
    return Bad("method.type",
               "is prompt-tuning, which learns task: causal-lm and preference, not " + objective +
                   ": use lora or full");
  }
  return Status();
}

Status CheckTrain(const TrainOptions& train, int world_size) {
  if (train.global_batch < 1) return Bad("train.global_batch", "must be at least 1");
  if (train.micro_batch < 1) return Bad("train.micro_batch", "must be at least 1");
  if (train.sequence_length < 2) return Bad("train.sequence_length", "must be at least 2");
  if (train.precision != "float32" && train.precision != "bfloat16") {
    return Bad("train.precision", "is '" + train.precision + "': use float32 or bfloat16");
  }
  if (world_size > train.global_batch) {
    return InvalidArgument("ranks: " + std::to_string(world_size) +
                           " ranks cannot share train.global_batch of " +
                           std::to_string(train.global_batch) +
                           " sequences: use fewer ranks or a larger global batch")
        .WithField("ranks");
  }
  return Status();
}

Status CheckEnds(const TrainOptions& train, const EvaluateOptions& evaluate) {
  if (train.max_tokens < 0) return Bad("train.max_tokens", "must not be negative");
  if (train.max_seconds < 0) return Bad("train.max_seconds", "must not be negative");
  if (!(train.ema_decay >= 0 && train.ema_decay < 1)) {
    return Bad("train.ema_decay", "must be in [0, 1)");
  }
  if (evaluate.patience < 0) return Bad("evaluate.patience", "must not be negative");
  if (evaluate.patience > 0 && evaluate.every_steps < 1) {
    return Bad("evaluate.patience", "counts evaluations: set evaluate.every_steps");
  }
  if (evaluate.metric != "loss" && evaluate.metric != "accuracy") {
    return Bad("evaluate.metric", "is '" + evaluate.metric + "': use loss or accuracy");
  }
  if (!(evaluate.min_delta >= 0)) return Bad("evaluate.min_delta", "must not be negative");
  return Status();
}

Status CheckOptimizer(const OptimizerOptions& options) {
  ATTUNE_RETURN_IF_ERROR(CheckOptimizerName(options.name));
  if (!(options.learning_rate > 0)) return Bad("optimizer.learning_rate", "must be above 0");
  if (!(options.weight_decay >= 0)) return Bad("optimizer.weight_decay", "must not be negative");
  for (const double beta : {options.beta1, options.beta2}) {
    if (!(beta >= 0 && beta < 1)) return Bad("optimizer.betas", "must be in [0, 1)");
  }
  if (!(options.momentum >= 0 && options.momentum < 1)) {
    return Bad("optimizer.momentum", "must be in [0, 1)");
  }
  if (!(options.epsilon > 0)) return Bad("optimizer.epsilon", "must be above 0");
  if (!(options.clip_norm >= 0)) return Bad("optimizer.clip_norm", "must not be negative");
  if (options.warmup_steps < 0) return Bad("optimizer.warmup_steps", "must not be negative");
  return ScheduleFactor(options, 0, 1).status();
}

Status CheckRegularize(const RegularizeOptions& options) {
  if (options.type == "none") return Status();
  if (options.type != "l2-sp" && options.type != "ewc") {
    return Bad("regularize.type", "is '" + options.type + "': use none, l2-sp or ewc");
  }
  if (!(options.strength > 0 && std::isfinite(options.strength))) {
    return Bad("regularize.strength", "must be above 0");
  }
  if (options.type == "ewc" && options.fisher_examples < 1) {
    return Bad("regularize.fisher_examples", "must be at least 1");
  }
  return Status();
}

}  // namespace

std::string WarmupWarning(const TrainTask& task, int steps) {
  const int warmup = task.optimizer.warmup_steps;
  if (warmup == 0 || warmup < steps) return "";
  return "optimizer.warmup_steps is " + std::to_string(warmup) + ", but the run has " +
         std::to_string(steps) + (steps == 1 ? " step" : " steps") +
         ": the learning rate only climbs" +
         (task.data.train.packing
              ? "; train.global_batch counts packed sequences, so that packing makes fewer steps"
              : "");
}

Status CheckLength(const TrainTask& task, int64_t positions) {
  return CheckSequenceLength(task.data.train.sequence_length, positions, task.data.base.reference,
                             TunesPrompt(task.method) ? task.method.virtual_tokens : 0);
}

Status CheckTrainTask(const TrainTask& task, int world_size) {
  ATTUNE_RETURN_IF_ERROR(CheckMethod(task.method));
  ATTUNE_RETURN_IF_ERROR(CheckTrain(task.data.train, world_size));
  ATTUNE_RETURN_IF_ERROR(CheckOptimizer(task.optimizer));
  ATTUNE_RETURN_IF_ERROR(CheckRegularize(task.regularize));
  ATTUNE_RETURN_IF_ERROR(CheckEnds(task.data.train, task.evaluate));
  if (task.evaluate.split != "validation" && task.evaluate.split != "train") {
    return Bad("evaluate.split", "is '" + task.evaluate.split + "': use validation or train");
  }
  // What else is wrong with the base is told when its data are prepared.
  const auto resolved = ResolveObjective(task.data.objective, task.data.base);
  const std::string type = resolved.ok() ? resolved->type : task.data.objective.type;
  if (task.regularize.type == "ewc" && type == "embedding") {
    return Bad("regularize.type",
               "ewc measures one example at a time, which task: embedding has no loss for");
  }
  ATTUNE_RETURN_IF_ERROR(CheckMethodOf(task.method, type));
  if (task.data.datasets.empty()) return Bad("dataset", "names no dataset");
  if (task.method.type == "full" && task.data.base.format == "peft-adapter") {
    return InvalidArgument(
               "base: " + task.data.base.reference +
               " is an adapter; full fine-tuning needs a whole model. Export it with --merge and "
               "import the result")
        .WithField("base");
  }
  return Status();
}

}  // namespace attune::engine
