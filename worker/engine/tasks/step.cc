#include "worker/engine/tasks/step.h"

#include <chrono>
#include <cmath>

#include "common/base/hash.h"
#include "worker/engine/batches/batch.h"
#include "worker/engine/optim/gradient_norm.h"
#include "worker/engine/optim/schedule.h"

namespace attune::engine {
namespace {

// Seconds since the last call.
class Stopwatch {
 public:
  double Lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

std::vector<at::Tensor> Values(const NamedTensors& named) {
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : named) values.push_back(tensor);
  return values;
}

uint64_t DropoutSeed(uint64_t seed, int step) {
  return Random(Random(seed).Next() ^ static_cast<uint64_t>(step)).Next();
}

Status NotFinite(const char* what, int step, double value, const TrainTask& task) {
  return FailedPrecondition(std::string(what) + " became " + std::to_string(value) + " at step " +
                            std::to_string(step + 1) + ": lower optimizer.learning_rate (now " +
                            std::to_string(task.optimizer.learning_rate) +
                            "), add warm-up, set clip_norm, or look for damaged examples");
}

}  // namespace

StepRunner::StepRunner(const TrainTask& task, TrainingSetup& setup, Group& group)
    : task_(task),
      setup_(setup),
      group_(group),
      parameters_(Values(setup.trainable)),
      sync_(&group, parameters_) {}

Result<double> StepRunner::Accumulate(int step, const PlannedStep& planned, StepReport& report) {
  const TokenShard& shard = *setup_.data.train;
  LanguageModel& model = *setup_.model;
  Stopwatch watch;
  const std::vector<Sequence> part =
      RankPart(planned, shard.lengths(), group_.rank(), group_.world_size());
  const auto micro_batches = MicroBatches(part, task_.data.train.micro_batch);
  model.SetTraining(true, DropoutSeed(task_.data.train.seed, step));
  double loss_sum = 0;
  fed_ = {};
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(
        const PackedBatch batch,
        MakeBatch(shard, micro_batches[i], model.vocabulary_size(), setup_.device));
    report.seconds_data += watch.Lap();
    at::Tensor loss = model.LossSum(batch);
    loss_sum += loss.item<double>();
    for (const uint32_t example : batch.examples) fed_.Add(shard.Example(example).id);
    report.seconds_forward += watch.Lap();
    if (i + 1 == micro_batches.size()) sync_.StartLastBackward();
    loss.backward(at::full_like(loss, 1.0 / static_cast<double>(planned.target_tokens)));
    report.seconds_backward += watch.Lap();
  }
  ATTUNE_RETURN_IF_ERROR(sync_.Finish());
  report.seconds_sync += watch.Lap();
  return loss_sum;
}

Result<StepRunner::Outcome> StepRunner::Run(int step, StopRequest wish,
                                            const std::function<Status()>& before_update) {
  Stopwatch whole, watch;
  Outcome outcome;
  StepReport& report = outcome.report;
  const PlannedStep planned = setup_.plan->Step(step);
  report.seconds_data = watch.Lap();
  ATTUNE_ASSIGN_OR_RETURN(const double loss_sum, Accumulate(step, planned, report));

  watch.Lap();
  // Halves of the digest, since a double holds 53 bits.
  const auto high = static_cast<double>(fed_.digest >> 32);
  const auto low = static_cast<double>(fed_.digest & UINT32_MAX);
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<double> sums,
                          group_.Sum({loss_sum, static_cast<double>(fed_.examples), high, low}));
  ATTUNE_ASSIGN_OR_RETURN(outcome.stop, group_.AgreeOnStop(wish));
  report.seconds_sync += watch.Lap();
  report.loss = sums[0] / static_cast<double>(planned.target_tokens);
  if (!std::isfinite(report.loss)) return NotFinite("the loss", step, report.loss, task_);

  if (setup_.penalty != nullptr) report.penalty = setup_.penalty->AddGradient();
  report.grad_norm = GradientNorm(parameters_);
  if (!std::isfinite(report.grad_norm)) {
    return NotFinite("the gradients' norm", step, report.grad_norm, task_);
  }
  report.seconds_optimizer = watch.Lap();
  ATTUNE_RETURN_IF_ERROR(before_update());
  report.seconds_sync += watch.Lap();
  ATTUNE_ASSIGN_OR_RETURN(const double factor,
                          ScheduleFactor(task_.optimizer, step, setup_.plan->steps()));
  report.learning_rate = task_.optimizer.learning_rate * factor;
  setup_.optimizer->Step(step + 1, report.learning_rate,
                         ClipFactor(report.grad_norm, task_.optimizer.clip_norm));
  sync_.Release();
  report.seconds_optimizer += watch.Lap();
  report.step = step + 1;
  report.examples = static_cast<uint64_t>(sums[1]);
  report.examples_digest = (static_cast<uint64_t>(sums[2]) << 32) + static_cast<uint64_t>(sums[3]);
  report.tokens = planned.tokens;
  report.target_tokens = planned.target_tokens;
  report.seconds = whole.Lap();
  return outcome;
}

}  // namespace attune::engine
