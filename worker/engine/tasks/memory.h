#pragma once

// How much memory a rank will need, from names and shapes alone. No torch here.

#include <map>
#include <string>

#include "common/base/status.h"
#include "worker/engine/engine.h"
#include "worker/engine/formats/weights.h"

namespace attune::engine {

struct ModelShape {
  int64_t parameters = 0;
  int64_t trainable_parameters = 0;
  int64_t layers = 0, hidden = 0, intermediate = 0, attention_heads = 0, query_width = 0,
          key_value_width = 0, vocabulary = 0;
};

// config_json as transformers has it. kInvalidArgument when it lacks a size, or when the method's
// target modules match nothing.
Result<ModelShape> ShapeOf(const std::map<std::string, TensorInfo>& tensors,
                           const std::string& config_json, const Method& method);

struct MicroBatchShape {
  int64_t tokens = 0, targets = 0;  // of the largest one
  int64_t micro_batches_max = 0;    // of a rank in a step
};

// Peak bytes of one rank. Within 10 % of what was measured (peak resident size), full and LoRA, on
// SmolLM2-135M and random models of other shapes; docs/benchmarks.md.
MemoryPrediction PredictMemory(const ModelShape& model, const MicroBatchShape& batch,
                               const TrainTask& task);

}  // namespace attune::engine
