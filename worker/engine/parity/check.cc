#include <ATen/Context.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "worker/engine/parallel/group.h"
#include "worker/engine/parity.h"
#include "worker/engine/parity/samples.h"
#include "worker/engine/parity/update.h"
#include "worker/engine/tasks/failure.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kSeed = 5;

OptimizerOptions Plain(const char* name, double learning_rate) {
  return {.name = name,
          .learning_rate = learning_rate,
          .epsilon = 1e-6,
          .schedule = "constant",
          .clip_norm = 0};
}
// See ParityRow.
const OptimizerOptions kSgd = Plain("sgd", 1), kAdamW = Plain("adamw", 1e-3);
// Of the step that gives both halves of a new adapter a gradient.
const OptimizerOptions kStart = Plain("adamw", 2e-2);

Method MethodOf(const std::string& type) {
  return {.type = type, .rank = 4, .alpha = 8, .dropout = 0.1};
}

// A number for the lines: JSON has none that is not finite.
Json NumberOrNull(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json RowJson(const ParityRow& row) {
  return {{"method", row.method},
          {"world_size", row.world_size},
          {"micro_batch", row.micro_batch},
          {"accumulation", row.accumulation},
          {"packing", row.packing},
          {"activation_checkpointing", row.activation_checkpointing},
          {"reference", row.reference},
          {"loss", NumberOrNull(row.loss)},
          {"grad_norm", NumberOrNull(row.grad_norm)},
          {"loss_difference", NumberOrNull(row.loss_difference)},
          {"grad_norm_difference", NumberOrNull(row.grad_norm_difference)},
          {"gradient_difference", NumberOrNull(row.gradient_difference)},
          {"adamw_difference", NumberOrNull(row.adamw_difference)},
          {"ok", row.ok()}};
}

// The grid, the plainest way first.
std::vector<Way> Ways(const std::vector<int>& world_sizes, const std::vector<int>& micro_batches) {
  std::vector<Way> ways;
  for (const bool packing : {false, true}) {
    for (const bool checkpointing : {false, true}) {
      for (const int world_size : world_sizes) {
        for (const int micro_batch : micro_batches) {
          ways.push_back({world_size, micro_batch, packing, checkpointing});
        }
      }
    }
  }
  return ways;
}

// On a CPU ranks are threads; of GPUs there must be one for each rank.
Result<std::vector<int>> WorldSizesOn(const ParityTask& task) {
  if (task.device != "cuda") return task.world_sizes;
  ATTUNE_RETURN_IF_ERROR(OpenDevice("cuda:0").status());
  std::vector<int> sizes;
  for (const int size : task.world_sizes) {
    if (static_cast<size_t>(size) <= at::getNumGPUs()) sizes.push_back(size);
  }
  if (sizes.empty()) return FailedPrecondition("there are fewer GPUs than the ranks asked for");
  return sizes;
}

class Proof {
 public:
  Proof(const ParityTask& task, Observer& observer) : task_(task), observer_(observer) {}

  Result<ParityResult> Run() {
    ATTUNE_RETURN_IF_ERROR(MakeSamples());
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<int> world_sizes, WorldSizesOn(task_));
    ways_ = Ways(world_sizes, task_.micro_batches);
    methods_ = task_.methods;
    if (!task_.model.empty()) std::erase(methods_, "full");
    if (ways_.empty() || methods_.empty()) return InvalidArgument("there is nothing to compare");
    for (const std::string& method : methods_) ATTUNE_RETURN_IF_ERROR(Prove(method));
    return std::move(result_);
  }

 private:
  Status MakeSamples() {
    ATTUNE_ASSIGN_OR_RETURN(data_, WriteSampleData(task_.folder / "data"));
    if (task_.model.empty()) {
      ATTUNE_ASSIGN_OR_RETURN(model_, WriteSampleModel(task_.folder / "model"));
      return Status();
    }
    model_ = {.reference = task_.model.string(), .path = task_.model, .format = "huggingface"};
    return Status();
  }

  // Of all examples in one step.
  TrainTask TaskOf(const std::string& method, const ModelFiles& base, const Way& way) const {
    TrainTask task;
    task.data.base = base;
    task.data.datasets = {data_};
    task.data.token_cache = task_.folder / "tokens";
    task.data.objective.type = "causal-lm";
    task.data.train = {.sequence_length = kSampleLength,
                       .packing = way.packing,
                       .micro_batch = way.micro_batch,
                       .seed = kSeed,
                       .threads = ThreadsOf(way),
                       .activation_checkpointing = way.activation_checkpointing};
    task.method = MethodOf(method);
    task.run_directory = task_.folder / "run";
    return task;
  }

  // The sample model has no work for more than one.
  int ThreadsOf(const Way& way) const {
    const int cores = static_cast<int>(std::thread::hardware_concurrency());
    return task_.model.empty() ? 1 : std::max(1, cores / way.world_size);
  }

  // What training begins from.
  Result<ModelFiles> StartOf(const std::string& method) {
    TrainTask task = TaskOf(method, model_, {});
    observer_.OnProgress({.phase = "tokenizing"});
    ATTUNE_RETURN_IF_ERROR(Prepare(task.data, observer_).status());
    if (!TrainsAdapter(task.method)) return model_;
    task.optimizer = kStart;
    task.run_directory = task_.folder / "start";
    ATTUNE_ASSIGN_OR_RETURN(const WayPlan plan, PlanOf(task.data, {}));
    task.data.train.global_batch = plan.sequences;
    Observer nothing;
    const Membership alone{.device = task_.device == "cuda" ? "cuda:0" : task_.device};
    ATTUNE_ASSIGN_OR_RETURN(const TrainResult trained, Train(task, alone, nullptr, nothing));
    ModelFiles start{.reference = "start@1", .path = trained.output, .format = "peft-adapter"};
    start.base = std::make_shared<ModelFiles>(model_);
    task.data.base = start;
    ATTUNE_RETURN_IF_ERROR(Prepare(task.data, observer_).status());
    return start;
  }

  Result<Updates> UpdatesBy(TrainTask task, const Way& way) {
    Updates updates;
    task.optimizer = kSgd;
    ATTUNE_ASSIGN_OR_RETURN(updates.sgd, MakeUpdate(task, way.world_size, task_.device, observer_));
    task.optimizer = kAdamW;
    ATTUNE_ASSIGN_OR_RETURN(updates.adamw,
                            MakeUpdate(task, way.world_size, task_.device, observer_));
    return updates;
  }

  Status Prove(const std::string& method) {
    ATTUNE_ASSIGN_OR_RETURN(const ModelFiles base, StartOf(method));
    ATTUNE_ASSIGN_OR_RETURN(const auto start, OpenTrained(base.path, method));
    Updates first;
    for (const Way& way : ways_) {
      TrainTask task = TaskOf(method, base, way);
      ATTUNE_ASSIGN_OR_RETURN(const WayPlan plan, PlanOf(task.data, way));
      task.data.train.global_batch = plan.sequences;
      ATTUNE_ASSIGN_OR_RETURN(Updates updates, UpdatesBy(task, way));
      ParityRow row{.method = method,
                    .world_size = way.world_size,
                    .micro_batch = way.micro_batch,
                    .accumulation = plan.accumulation,
                    .packing = way.packing,
                    .activation_checkpointing = way.activation_checkpointing,
                    .reference = first.sgd.weights == nullptr};
      if (row.reference) first = updates;
      ATTUNE_RETURN_IF_ERROR(Compare(*start, first, updates, &row));
      Report(row);
    }
    return Status();
  }

  void Report(const ParityRow& row) {
    result_.rows.push_back(row);
    Json line = {{"row", result_.rows.size()},
                 {"rows", ways_.size() * methods_.size()},
                 {"tolerance", kParityTolerance}};
    line.update(RowJson(row));
    observer_.OnOutput(line.dump());
  }

  const ParityTask& task_;
  Observer& observer_;
  ModelFiles model_;
  DatasetFiles data_;
  std::vector<Way> ways_;
  std::vector<std::string> methods_;
  ParityResult result_;
};

}  // namespace

bool ParityRow::ok() const {
  return std::ranges::all_of(std::initializer_list<double>{loss_difference, grad_norm_difference,
                                                           gradient_difference, adamw_difference},
                             [](double difference) { return difference <= kParityTolerance; });
}

bool ParityResult::ok() const {
  return !rows.empty() && std::ranges::all_of(rows, &ParityRow::ok);
}

Result<ParityResult> CheckParity(const ParityTask& task, Observer& observer) {
  return Guarded([&] { return Proof(task, observer).Run(); });
}

}  // namespace attune::engine
