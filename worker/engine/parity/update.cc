#include "worker/engine/parity/update.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "worker/engine/batches/batch.h"
#include "worker/engine/data/plan.h"
#include "worker/engine/data/prepare.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

constexpr int kAllInOne = 1 << 20;  // sequences of a step: more than there are

// A rank's: keeps its step, and asks for all whether to stop.
class StepKeeper final : public Observer {
 public:
  void OnStep(const StepReport& report) override { step = report; }
  StopRequest ShouldStop() override {
    return outer == nullptr ? StopRequest::kNone : outer->ShouldStop();
  }

  Observer* outer = nullptr;  // of rank 0, whose caller waits
  StepReport step;
};

// The error of the rank that failed first: that of the others is that they lost it.
Status FirstError(const std::vector<Result<TrainResult>>& results) {
  Status error;
  for (const auto& result : results) {
    if (result.ok()) continue;
    if (error.ok() || error.code() == StatusCode::kUnavailable) error = result.status();
  }
  return error;
}

}  // namespace

Result<WayPlan> PlanOf(const PrepareTask& data, const Way& way) {
  ATTUNE_ASSIGN_OR_RETURN(const PreparedData prepared, OpenPrepared(data));
  const TokenShard& shard = *prepared.train;
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const StepPlan> plan,
                          StepPlan::Make(shard.lengths(), shard.target_counts(),
                                         {.seed = data.train.seed,
                                          .sequence_length = data.train.sequence_length,
                                          .packing = way.packing,
                                          .global_batch = kAllInOne}));
  const PlannedStep step = plan->Step(0);
  size_t most = 0;
  for (int rank = 0; rank < way.world_size; ++rank) {
    const std::vector<Sequence> part = RankPart(step, shard.lengths(), rank, way.world_size);
    most = std::max(most, MicroBatches(part, way.micro_batch).size());
  }
  return WayPlan{static_cast<int>(step.sequences.size()), static_cast<int>(most)};
}

Result<std::shared_ptr<const SafetensorsFile>> OpenTrained(const fs::path& folder,
                                                           const std::string& method) {
  return SafetensorsFile::Open(
      folder / (method == "full" ? "model.safetensors" : "adapter_model.safetensors"));
}

Result<Update> MakeUpdate(const TrainTask& task, int world_size, const std::string& device,
                          Observer& observer) {
  const std::unique_ptr<KeyValueStore> store = NewMemoryStore();
  std::vector<StepKeeper> keepers(world_size);
  keepers[0].outer = &observer;
  std::vector<Result<TrainResult>> results(world_size, Internal("the rank never ran"));
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < world_size; ++rank) {
    ranks.emplace_back([&, rank] {
      const Membership membership{
          .rank = rank,
          .world_size = world_size,
          .device = device == "cuda" ? "cuda:" + std::to_string(rank) : device};
      results[rank] = Train(task, membership, store.get(), keepers[rank]);
    });
  }
  for (std::thread& rank : ranks) rank.join();
  ATTUNE_RETURN_IF_ERROR(FirstError(results));
  if (results[0]->steps != 1) {
    return Internal("an update took " + std::to_string(results[0]->steps) + " steps, not one");
  }
  Update update{.report = keepers[0].step};
  // The file is mapped: it stays readable without its name.
  ATTUNE_ASSIGN_OR_RETURN(update.weights, OpenTrained(results[0]->output, task.method.type));
  std::error_code ignored;
  fs::remove_all(task.run_directory, ignored);
  return update;
}

}  // namespace attune::engine
