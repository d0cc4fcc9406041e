#pragma once

// Everything that a rank holds before its first step.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/data/plan.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/model/language_model.h"
#include "worker/engine/objectives/objective.h"
#include "worker/engine/optim/optimizer.h"
#include "worker/engine/optim/penalty.h"
#include "worker/engine/optim/weight_average.h"
#include "worker/engine/parallel/group.h"

namespace attune::engine {

struct TrainingSetup {
  at::Device device = at::kCPU;
  PreparedData data;
  std::shared_ptr<const StepPlan> plan;
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<LanguageModel> reference;  // see ObjectiveParts
  std::unique_ptr<ObjectiveFunction> objective;
  NamedTensors trainable;
  std::vector<int> owners;  // by parameter the rank that updates it; empty: each updates all
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<WeightAverage> average;  // null without ema_decay
  std::unique_ptr<Penalty> penalty;  // null without regularize; its w0 is never a checkpoint's
  std::string config;                // as in CheckpointState
  CheckpointState start;             // step 0, or of the checkpoint that was resumed
  int64_t predicted_memory = 0;      // bytes of a rank

  // Of this rank.
  CheckpointTensors Tensors() const;
  // The same with the whole state of the optimizer on rank 0; collective. In the folder is room for
  // what other ranks have of it.
  Result<CheckpointTensors> WholeTensors(Group& group, const std::filesystem::path& folder) const;
  // What training makes: the averages where there are any, else the weights.
  NamedTensors Outcome() const { return average != nullptr ? average->Values() : trainable; }
};

// The plan of a task's prepared data.
Result<std::shared_ptr<const StepPlan>> MakePlan(const TrainTask& task, const PreparedData& data);

// The optimizer of what trains, or of this rank's part of it, and the averages that a task asks
// for.
void AddOptimizer(const TrainTask& task, const Membership& membership, TrainingSetup& setup);
// The model as it will train, with the adapter that is asked for, and MakeTrainable.
Status LoadForTraining(const TrainTask& task, const Objective& objective,
                       const Membership& membership, TrainingSetup& setup);
// What a loaded model needs to train on setup.device: its optimizer, penalty and objective
// (resolved).
Status MakeTrainable(const TrainTask& task, const Objective& objective,
                     const Membership& membership, TrainingSetup& setup);

// The penalty that a task asks for, around the parameters as they are now; null for none.
std::unique_ptr<Penalty> MakePenalty(const RegularizeOptions& options,
                                     const NamedTensors& parameters);

// Loads data and, where it fits (admit_run.h), the model; makes sure that all ranks have the same
// plan, settings and weights, and resumes, or else measures what the penalty needs; collective.
Result<TrainingSetup> MakeSetup(const TrainTask& task, Group& group, Observer& observer);

}  // namespace attune::engine
