#include "tests/unit/training/step_run.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/unit/training/ranks.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/tasks/fisher.h"

namespace attune::engine::testing {
namespace {

Result<TrainingSetup> MakeSetup(const StepInput& input, const Membership& membership) {
  TrainingSetup setup;
  setup.data.train = setup.data.old = input.shard;
  setup.plan = input.plan;
  TrainTask task = input.task;
  task.data.base = input.model;
  if (!setup.plan) {
    ATTUNE_ASSIGN_OR_RETURN(setup.plan, MakePlan(task, setup.data));
  }
  ATTUNE_ASSIGN_OR_RETURN(const Objective objective,
                          ResolveObjective(task.data.objective, task.data.base));
  if (input.model.format != "peft-adapter") {
    ATTUNE_RETURN_IF_ERROR(LoadForTraining(task, objective, membership, setup));
    return setup;
  }
  // With its adapter as it is, whatever the task says of one.
  const LoadOptions options{.precision = task.data.train.precision,
                            .frozen = true,
                            .nf4 = task.method.type == "qlora",
                            .encoders = true};
  ATTUNE_ASSIGN_OR_RETURN(setup.model, LanguageModel::Load(input.model, options));
  ATTUNE_RETURN_IF_ERROR(MakeTrainable(task, objective, membership, setup));
  return setup;
}

void RunRank(TrainingSetup& setup, const TrainTask& task, const Membership& membership,
             KeyValueStore* store, int steps, StepRun& run) {
  at::set_num_threads(1);  // of this rank
  auto group = Group::Open(membership, store);
  ASSERT_TRUE(group.ok()) << group.status().ToString();
  if (task.regularize.type == "ewc") {
    Observer observer;
    const Status measured = MeasureFisher(task, setup, **group, observer);
    ASSERT_TRUE(measured.ok()) << measured.ToString();
    run.fisher = setup.penalty->Fisher();
  }
  StepRunner runner(task, setup, **group);
  for (int step = 0; step < steps; ++step) {
    const auto outcome = runner.Run(step, StopRequest::kNone, [] { return Status(); });
    ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
    run.reports.push_back(outcome->report);
  }
  run.parameters = setup.trainable;
}

}  // namespace

StepRun RunSteps(const StepInput& input, int world_size, int steps) {
  std::vector<StepRun> runs(world_size);
  RunRanks(world_size, [&](const Membership& membership, KeyValueStore* store) {
    auto setup = MakeSetup(input, membership);
    ASSERT_TRUE(setup.ok()) << setup.status().ToString();
    RunRank(*setup, input.task, membership, store, steps, runs[membership.rank]);
  });
  for (const StepRun& run : runs) {
    EXPECT_EQ(run.reports.size(), static_cast<size_t>(steps));
    for (size_t i = 0; i < std::min(run.reports.size(), runs[0].reports.size()); ++i) {
      EXPECT_EQ(run.reports[i].loss, runs[0].reports[i].loss);
      EXPECT_EQ(run.reports[i].grad_norm, runs[0].reports[i].grad_norm);
      EXPECT_EQ(run.reports[i].accuracy, runs[0].reports[i].accuracy);
      EXPECT_EQ(run.reports[i].penalty, runs[0].reports[i].penalty);
    }
    for (size_t p = 0; p < std::min(run.parameters.size(), runs[0].parameters.size()); ++p) {
      EXPECT_TRUE(at::equal(run.parameters[p].second, runs[0].parameters[p].second))
          << run.parameters[p].first;
    }
  }
  return runs[0];
}

}  // namespace attune::engine::testing
