#include <algorithm>
#include <utility>

#include "worker/engine/adapters/resolve.h"
#include "worker/engine/batches/batch.h"
#include "worker/engine/data/inspect.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/formats/weights.h"
#include "worker/engine/tasks/check.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/memory.h"
#include "worker/engine/tasks/setup.h"

namespace attune::engine {
namespace {

// Virtual tokens of an example, which a preference has before both of its answers.
int64_t PromptRows(const TrainTask& task) {
  if (!TunesPrompt(task.method)) return 0;
  return task.method.virtual_tokens * (task.data.objective.type == "preference" ? 2 : 1);
}

MicroBatchShape Measure(const TrainTask& task, const TokenShard& shard,
                        std::span<const Sequence> sequences) {
  MicroBatchShape shape;
  for (const Sequence& sequence : sequences) {
    for (const uint32_t index : sequence) {
      shape.tokens += shard.lengths()[index] + PromptRows(task);
      shape.targets += shard.target_counts()[index];
    }
  }
  return shape;
}

// The largest micro-batch of any rank so far, with a step more.
void MeasureStep(const TrainTask& task, const TokenShard& shard, const PlannedStep& step,
                 int world_size, MicroBatchShape* largest) {
  for (int rank = 0; rank < world_size; ++rank) {
    const std::vector<Sequence> part = RankPart(step, shard.lengths(), rank, world_size);
    const auto micro_batches = MicroBatches(part, task.data.train.micro_batch);
    largest->micro_batches_max =
        std::max(largest->micro_batches_max, static_cast<int64_t>(micro_batches.size()));
    for (const auto micro_batch : micro_batches) {
      const MicroBatchShape shape = Measure(task, shard, micro_batch);
      largest->tokens = std::max(largest->tokens, shape.tokens);
      largest->targets = std::max(largest->targets, shape.targets);
    }
  }
}

struct StepCounts {
  MicroBatchShape largest;      // micro-batch of any rank
  std::vector<int64_t> tokens;  // of each step
};

// Counts the plan's contents. All that is to be known of each step: making them takes its time.
StepCounts CountSteps(const TrainTask& task, const TokenShard& shard, const StepPlan& plan,
                      int world_size, PlanResult& result) {
  StepCounts counts;
  for (int s = 0; s < plan.steps(); ++s) {
    const PlannedStep step = plan.Step(s);
    counts.tokens.push_back(step.tokens);
    result.sequences += static_cast<int64_t>(step.sequences.size());
    result.tokens += step.tokens;
    result.target_tokens += step.target_tokens;
    for (const Sequence& sequence : step.sequences)
      result.examples += static_cast<int64_t>(sequence.size());
    MeasureStep(task, shard, step, world_size, &counts.largest);
  }
  return counts;
}

double FillLimit(const TokenShard& shard, const StepPlan& plan, int sequence_length) {
  uint64_t tokens = 0;
  for (const uint32_t length : shard.lengths()) tokens += length;
  return static_cast<double>(tokens) /
         (static_cast<double>(plan.fewest_sequences()) * sequence_length);
}

}  // namespace

Result<PlanResult> Plan(const TrainTask& task, int world_size, Observer& observer) {
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
    StepCounts steps = CountSteps(task, *data.train, *plan, world_size, result);
    ATTUNE_ASSIGN_OR_RETURN(result.check, Inspect(task.data, work, data, std::move(steps.tokens)));
    const double room = static_cast<double>(result.sequences) * task.data.train.sequence_length;
    result.fill = room > 0 ? static_cast<double>(result.tokens) / room : 0;
    result.fill_limit = FillLimit(*data.train, *plan, task.data.train.sequence_length);

    const ModelFiles& base = task.data.base;
    const ModelFiles& root = base.format == "peft-adapter" && base.base ? *base.base : base;
    ATTUNE_ASSIGN_OR_RETURN(const std::string json, ReadModelConfig(root.path));
    ATTUNE_ASSIGN_OR_RETURN(ModelConfig config,
                            ParseModelConfig(json, root.path.string() + ": config.json"));
    ATTUNE_ASSIGN_OR_RETURN(const ModelShape model, ShapeOf(std::move(config), task.method));
    const int64_t prompt = TunesPrompt(task.method) ? task.method.virtual_tokens : 0;
    ATTUNE_RETURN_IF_ERROR(CheckLength(task, model.config.max_positions - prompt));
    result.parameters = model.parameters;
    result.trainable_parameters = model.trainable_parameters;
    result.memory = PredictMemory(model, steps.largest, task, world_size);
    return result;
  });
}

}  // namespace attune::engine
