#include "worker/engine/objectives/objective.h"

#include <ATen/ATen.h>

#include "worker/engine/batches/batch.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/objectives/kinds.h"

namespace attune::engine {
namespace {

// The next token of a decoder, or the answer's of an encoder-decoder.
class NextTokens final : public ObjectiveFunction {
 public:
  explicit NextTokens(const ObjectiveParts& parts) : model_(parts.model), device_(parts.device) {}

  int64_t Units(const TokenShard& shard, uint32_t example) const override {
    return shard.target_counts()[example];
  }
  Result<LossPart> Forward(const TokenShard& shard, std::span<const Sequence> sequences,
                           uint64_t) override {
    ATTUNE_ASSIGN_OR_RETURN(const PackedBatch batch,
                            MakeBatch(shard, sequences, model_.vocabulary_size(), device_));
    LossPart part{.root = model_.LossSum(batch), .units = batch.targets.numel()};
    part.loss = part.root.item<double>();
    return part;
  }

 private:
  LanguageModel& model_;
  const at::Device device_;
};

}  // namespace

Status ObjectiveFunction::Begin(const StepPart&, Group&) {
  return Status();
}

Result<LossPart> ObjectiveFunction::Measure(const TokenShard& shard, const Sequence& examples) {
  at::NoGradGuard no_grad;
  ATTUNE_ASSIGN_OR_RETURN(LossPart part, Forward(shard, {&examples, 1}, /*draw=*/0));
  part.root.reset();
  return part;
}

Result<std::vector<LossPart>> ObjectiveFunction::MeasureEach(const TokenShard& shard,
                                                             const Sequence& examples) {
  std::vector<LossPart> parts;
  for (const uint32_t example : examples) {
    ATTUNE_ASSIGN_OR_RETURN(LossPart part, Measure(shard, {example}));
    parts.push_back(std::move(part));
  }
  return parts;
}

std::unique_ptr<ObjectiveFunction> MakeObjective(const ObjectiveParts& parts) {
  switch (KindOf(parts.objective)) {
    case ObjectiveKind::kCausalLm:
    case ObjectiveKind::kSeq2seq:
      return std::make_unique<NextTokens>(parts);
    case ObjectiveKind::kMaskedLm:
      return NewMaskedTokens(parts);
    case ObjectiveKind::kClassification:
      return NewClassification(parts);
    case ObjectiveKind::kEmbedding:
      return NewEmbedding(parts);
    case ObjectiveKind::kPreference:
      return NewPreference(parts);
  }
  return nullptr;
}

}  // namespace attune::engine
