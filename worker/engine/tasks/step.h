#pragma once

// One optimizer step of one rank.

#include <functional>
#include <vector>

#include "common/base/status.h"
#include "common/ledger/example_sum.h"
#include "worker/engine/parallel/gradient_sync.h"
#include "worker/engine/tasks/setup.h"

namespace attune::engine {

class StepRunner {
 public:
  // All outlive the runner.
  StepRunner(const TrainTask& task, TrainingSetup& setup, Group& group);

  struct Outcome {
    StepReport report;
    StopRequest stop = StopRequest::kNone;  // what any rank was asked, the same on all
  };
  // Step from 0; collective. wish: what this rank was asked. before_update is called when all is
  // ready to change the parameters; it is the same collective call on every rank, and its error
  // ends the step. An error leaves the parameters as they were, unless it came out of the update
  // itself.
  Result<Outcome> Run(int step, StopRequest wish, const std::function<Status()>& before_update);

 private:
  // What the losses of a step are divided by.
  int64_t UnitsOf(const PlannedStep& planned) const;
  // Adds the gradients of this rank's part, divided by the step's units; returns the sum of its
  // losses. What went through the model is in fed_.
  Result<LossPart> Accumulate(int step, const PlannedStep& planned, int64_t units,
                              StepReport& report);

  // Why a step is not made: what became no finite number, by which examples, and what a person may
  // do. Collective; the gradients are lost.
  Status NotFinite(const char* what, double value, int step, const PlannedStep& planned);
  // Where ranks update parts of the parameters, all get the others'.
  Status ShareUpdates();
  // Whether an example alone has a finite loss and finite gradients.
  Result<bool> IsFiniteAlone(uint32_t example, uint64_t draw, int64_t units);
  // Says what there is to go on from; collective.
  Result<std::string> CheckpointNote();

  const TrainTask& task_;
  TrainingSetup& setup_;
  Group& group_;
  std::vector<at::Tensor> parameters_;
  GradientSync sync_;
  ledger::ExampleSum fed_;  // of this rank in this step
};

}  // namespace attune::engine
