#include "worker/engine/tasks/fisher.h"

#include <ATen/ATen.h>

#include "worker/engine/data/mix.h"
#include "worker/engine/parallel/pages.h"

namespace attune::engine {
namespace {

// Adds the squared gradient of one example's log likelihood.
Status AddExample(TrainingSetup& setup, uint32_t example, const NamedTensors& fisher) {
  const Sequence alone = {example};
  ATTUNE_ASSIGN_OR_RETURN(const LossPart part,
                          setup.objective->Forward(*setup.data.old, {&alone, 1}, /*draw=*/0));
  part.root.backward();
  at::NoGradGuard no_grad;
  for (size_t p = 0; p < fisher.size(); ++p) {
    at::Tensor& gradient = setup.trainable[p].second.mutable_grad();
    if (gradient.defined()) at::Tensor(fisher[p].second).addcmul_(gradient, gradient);
    gradient.reset();
  }
  return Status();
}

Status SumOverRanks(const NamedTensors& fisher, Group& group) {
  for (const auto& [name, tensor] : fisher) {
    ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<Pending> sum, group.StartSum(tensor));
    ATTUNE_RETURN_IF_ERROR(sum->Wait());
  }
  return Status();
}

}  // namespace

Status MeasureFisher(const TrainTask& task, TrainingSetup& setup, Group& group,
                     Observer& observer) {
  const TokenShard& shard = *setup.data.old;
  const std::vector<uint32_t> examples =
      Draw(shard, static_cast<size_t>(task.regularize.fisher_examples), task.data.train.seed);
  const NamedTensors fisher = setup.penalty->Fisher();
  const auto ranks = static_cast<size_t>(group.world_size());
  setup.model->SetTraining(false, 0);
  for (size_t first = 0; first < examples.size(); first += ranks) {
    observer.OnProgress({.phase = "measuring the Fisher information",
                         .done = static_cast<double>(first),
                         .total = static_cast<double>(examples.size())});
    const size_t mine = first + static_cast<size_t>(group.rank());
    if (mine < examples.size()) {
      ATTUNE_RETURN_IF_ERROR(AddExample(setup, examples[mine], fisher));
    }
    ATTUNE_ASSIGN_OR_RETURN(const StopRequest stop, group.AgreeOnStop(observer.ShouldStop()));
    if (stop != StopRequest::kNone) return Cancelled("stopped as asked before the first step");
  }
  ATTUNE_RETURN_IF_ERROR(SumOverRanks(fisher, group));
  int64_t targets = 0;
  for (const uint32_t example : examples) targets += setup.objective->Units(shard, example);
  for (const auto& [name, tensor] : fisher) {
    at::Tensor(tensor).div_(static_cast<double>(std::max<int64_t>(1, targets)));
  }
  ReturnFreedMemory();
  return Status();
}

}  // namespace attune::engine
