#include "worker/engine/tasks/ledger.h"

#include "common/base/files.h"
#include "common/ledger/plan_file.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

// The step of each example in an epoch, from 1; 0 where the run ends before it. kInternal where the
// plan has one twice, or lacks one in a whole epoch: what the ledger proves rests on this.
Result<std::vector<uint32_t>> StepsOfEpoch(const StepPlan& plan, size_t examples, int epoch) {
  std::vector<uint32_t> steps(examples, 0);
  const int64_t first = int64_t{epoch} * plan.steps_an_epoch();
  const int64_t end = std::min<int64_t>(first + plan.steps_an_epoch(), plan.steps());
  size_t placed = 0;
  for (int64_t s = first; s < end; ++s) {
    for (const Sequence& sequence : plan.Step(static_cast<int>(s)).sequences) {
      for (const uint32_t example : sequence) {
        if (steps.at(example) != 0) {
          return Internal("the plan has example " + std::to_string(example) + " twice in an epoch");
        }
        steps[example] = static_cast<uint32_t>(s + 1);
        ++placed;
      }
    }
  }
  if (end - first == plan.steps_an_epoch() && placed != examples) {
    return Internal("the plan has " + std::to_string(placed) + " of " + std::to_string(examples) +
                    " examples in an epoch");
  }
  return steps;
}

Status WritePlan(const fs::path& file, const ledger::PlanShape& shape, const StepPlan& plan,
                 const TokenShard& shard) {
  ATTUNE_RETURN_IF_ERROR(CreateFolders(file.parent_path()));
  ATTUNE_ASSIGN_OR_RETURN(auto writer, ledger::PlanFileWriter::Create(file, shape));
  for (size_t i = 0; i < shard.size(); ++i)
    ATTUNE_RETURN_IF_ERROR(writer.AddId(shard.Example(i).id));
  for (uint32_t epoch = 0; epoch < shape.epochs(); ++epoch) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<uint32_t> steps,
                            StepsOfEpoch(plan, shard.size(), static_cast<int>(epoch)));
    ATTUNE_RETURN_IF_ERROR(writer.AddSteps(steps));
  }
  return writer.Commit();
}

}  // namespace

Result<std::optional<ledger::StepLogWriter>> OpenLedger(const TrainTask& task,
                                                        const TrainingSetup& setup,
                                                        const Fence& fence, int world_size) {
  std::optional<ledger::StepLogWriter> log;
  if (task.generation == 0) return log;
  const StepPlan& plan = *setup.plan;
  const ledger::PlanShape shape{setup.data.train->size(),
                                static_cast<uint32_t>(plan.steps_an_epoch()),
                                static_cast<uint32_t>(plan.steps()), plan.Digest()};
  const fs::path file = ledger::PlanPath(task.run_directory);
  const auto there = ledger::PlanFile::Open(file);
  ATTUNE_RETURN_IF_ERROR(fence.Check());
  if (!there.ok() || there->shape().digest != shape.digest) {
    ATTUNE_RETURN_IF_ERROR(WritePlan(file, shape, plan, *setup.data.train));
  }
  const CheckpointState& start = setup.start;
  const ledger::Attempt attempt{task.generation, static_cast<uint32_t>(world_size),
                                static_cast<uint32_t>(start.step),
                                start.step > 0 ? start.generation : 0, shape.digest};
  ATTUNE_ASSIGN_OR_RETURN(auto writer, ledger::StepLogWriter::Create(task.run_directory, attempt));
  log.emplace(std::move(writer));
  return log;
}

}  // namespace attune::engine
