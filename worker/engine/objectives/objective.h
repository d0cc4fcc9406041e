#pragma once

// What a job minimises: from planned examples to a loss that goes backward. The loss of a step is
// the sum of its examples' losses over the sum of their units (target tokens, or examples), so that
// it does not depend on ranks, micro-batches or packing.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/plan.h"
#include "worker/engine/data/token_shard.h"
#include "worker/engine/engine.h"
#include "worker/engine/model/language_model.h"
#include "worker/engine/parallel/group.h"

namespace attune::engine {

// What some examples add to a loss.
struct LossPart {
  at::Tensor root;  // backward from it makes the gradients of the sum; a scalar
  double loss = 0;  // the sum of losses
  int64_t units = 0;
  // Examples that are right: labelled so, the chosen answer preferred, the own text nearest. Of
  // objectives about tokens none are counted.
  int64_t right = 0;
};

// A rank's part of a step.
struct StepPart {
  const TokenShard& shard;
  const PlannedStep& step;  // of all ranks
  size_t first = 0;         // of this rank's sequences in it
  std::span<const std::span<const Sequence>> micro_batches;
  uint64_t draw = 0;  // what is drawn at random follows from it and from an example's number
};

class ObjectiveFunction {
 public:
  virtual ~ObjectiveFunction() = default;

  // What one example adds to the divisor of a loss.
  virtual int64_t Units(const TokenShard& shard, uint32_t example) const = 0;
  // Whether LossPart counts what is right.
  virtual bool counts_right() const { return false; }

  // Before the micro-batches of a step go forward, one by one and in their order; collective.
  virtual Status Begin(const StepPart& part, Group& group);
  virtual Result<LossPart> Forward(const TokenShard& shard, std::span<const Sequence> sequences,
                                   uint64_t draw) = 0;
  // The loss of examples that are looked at together, without a gradient; root is undefined.
  virtual Result<LossPart> Measure(const TokenShard& shard, const Sequence& examples);
  // The same of each of them.
  virtual Result<std::vector<LossPart>> MeasureEach(const TokenShard& shard,
                                                    const Sequence& examples);
  // How many examples Measure is to have together; 0: as many as fit a sequence.
  virtual int examples_together() const { return 0; }
};

struct ObjectiveParts {
  Objective objective;  // resolved
  LanguageModel& model;
  at::Device device = at::kCPU;
  // preference: what the model was when training began; null: the model without its adapter.
  LanguageModel* reference = nullptr;
  int64_t mask_token = -1;  // masked-lm
  int global_batch = 1;
};
std::unique_ptr<ObjectiveFunction> MakeObjective(const ObjectiveParts& parts);

}  // namespace attune::engine
