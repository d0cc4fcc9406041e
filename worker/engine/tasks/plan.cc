#include <utility>

#include "worker/engine/adapters/resolve.h"
#include "worker/engine/data/inspect.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/tasks/check.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/memory.h"
#include "worker/engine/tasks/setup.h"

namespace attune::engine {
namespace {

// Counts the plan's contents; returns each step's tokens. All that is to be known of each step:
// making them takes its time.
std::vector<int64_t> CountSteps(const StepPlan& plan, LargestBatches& batches, PlanResult& result) {
  std::vector<int64_t> tokens;
  for (int s = 0; s < plan.steps(); ++s) {
    const PlannedStep step = plan.Step(s);
    tokens.push_back(step.tokens);
    result.sequences += static_cast<int64_t>(step.sequences.size());
    result.tokens += step.tokens;
    result.target_tokens += step.target_tokens;
    for (const Sequence& sequence : step.sequences)
      result.examples += static_cast<int64_t>(sequence.size());
    batches.Add(step);
  }
  return tokens;
}

double FillLimit(const TokenShard& shard, const StepPlan& plan, int sequence_length) {
  uint64_t tokens = 0;
  for (const uint32_t length : shard.lengths()) tokens += length;
  return static_cast<double>(tokens) /
         (static_cast<double>(plan.fewest_sequences()) * sequence_length);
}

}  // namespace

Result<PlanResult> Plan(const TrainTask& task, int world_size, Observer& observer,
                        const std::string& device) {
  ATTUNE_RETURN_IF_ERROR(CheckTrainTask(task, world_size));
  return Guarded([&]() -> Result<PlanResult> {
    ATTUNE_ASSIGN_OR_RETURN(const Work work, MakeWork(task.data));
    ATTUNE_ASSIGN_OR_RETURN(const PreparedData data, PrepareWork(task.data, work, observer));
    ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const StepPlan> plan, MakePlan(task, data));
    PlanResult result{.steps = plan->steps(),
                      .data = data.counts,
                      .warnings = DataWarnings(data.counts, task.data.train)};
    const std::string warmup = WarmupWarning(task, plan->steps());
    if (!warmup.empty()) result.warnings.push_back(warmup);
    LargestBatches batches(*data.train, task.data.train.micro_batch, world_size,
                           VirtualTokens(task));
    std::vector<int64_t> step_tokens = CountSteps(*plan, batches, result);
    ATTUNE_ASSIGN_OR_RETURN(result.check, Inspect(task.data, work, data, std::move(step_tokens)));
    const double room = static_cast<double>(result.sequences) * task.data.train.sequence_length;
    result.fill = room > 0 ? static_cast<double>(result.tokens) / room : 0;
    result.fill_limit = FillLimit(*data.train, *plan, task.data.train.sequence_length);

    ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, ReadTrainedConfig(task));
    ATTUNE_ASSIGN_OR_RETURN(const ModelShape model, ShapeOf(std::move(config), task.method));
    const int64_t prompt = TunesPrompt(task.method) ? task.method.virtual_tokens : 0;
    ATTUNE_RETURN_IF_ERROR(CheckLength(task, model.config.max_positions - prompt));
    result.parameters = model.parameters;
    result.trainable_parameters = model.trainable_parameters;
    result.memory = PredictMemory(model, batches.Of(task.data.train.micro_batch), task,
                                  {.world_size = world_size, .gpu = device.starts_with("cuda")});
    return result;
  });
}

}  // namespace attune::engine
