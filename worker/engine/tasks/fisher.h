#pragma once

// The Fisher information that elastic weight consolidation holds weights by.

#include "common/base/status.h"
#include "worker/engine/tasks/setup.h"

namespace attune::engine {

// Fills setup.penalty's Fisher information: over regularize.fisher_examples of setup.data.old,
// drawn by the seed, the sum of each one's squared gradient of its log likelihood, divided by their
// target tokens. So it is the empirical Fisher information (the diagonal) of one target token, as
// the loss is the mean over target tokens. Without dropout, at the weights of now. Collective: the
// ranks share the examples, and all get the same bits; another number of ranks differs by rounding.
// kCancelled when a rank was asked to stop.
Status MeasureFisher(const TrainTask& task, TrainingSetup& setup, Group& group, Observer& observer);

}  // namespace attune::engine
