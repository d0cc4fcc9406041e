#pragma once

// How much memory a rank will need, from its configuration alone. No torch here.

#include <vector>

#include "common/base/status.h"
#include "common/model/model_config.h"
#include "worker/engine/engine.h"
#include "worker/engine/tasks/largest_batch.h"

namespace attune::engine {

struct ModelShape {
  ModelConfig config;
  int64_t parameters = 0;  // with those of an adapter
  int64_t trainable_parameters = 0;
  std::vector<std::vector<int64_t>> trainable;  // the shapes of what trains
  bool head_trains = true;
};

// The configuration of the model that is to train, or that an adapter on it is for: its base's,
// with the head of the task's labels.
Result<ModelConfig> ReadTrainedConfig(const TrainTask& task);

// Virtual tokens of an example, which a preference has before both of its answers.
int64_t VirtualTokens(const TrainTask& task);

// kInvalidArgument when the method's target modules match nothing.
Result<ModelShape> ShapeOf(ModelConfig config, const Method& method);

struct RankKind {
  int world_size = 1;  // of which it is one
  bool gpu = false;
};

// Peak bytes of one rank. Within 10 % of what was measured (peak resident size; on a GPU what is
// taken of its memory), full and LoRA, on SmolLM2-135M and models of other shapes;
// docs/benchmarks.md, docs/gpu.md.
MemoryPrediction PredictMemory(const ModelShape& model, const MicroBatchShape& batch,
                               const TrainTask& task, const RankKind& rank = {});

}  // namespace attune::engine
