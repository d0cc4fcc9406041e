// The label of a text: cross entropy over the labels, a unit an example.

#include <ATen/ATen.h>

#include "worker/engine/batches/batch.h"
#include "worker/engine/objectives/kinds.h"

namespace attune::engine {
namespace {

class Classification final : public ObjectiveFunction {
 public:
  explicit Classification(const ObjectiveParts& parts)
      : model_(parts.model), device_(parts.device) {}

  int64_t Units(const TokenShard&, uint32_t) const override { return 1; }
  bool counts_right() const override { return true; }

  Result<LossPart> Forward(const TokenShard& shard, std::span<const Sequence> sequences,
                           uint64_t) override {
    std::vector<BatchText> texts;
    std::vector<int64_t> labels;
    const auto take = [&](const TokenExample& example, uint32_t number) {
      texts.push_back(TextsOf(example, number).front());
      labels.push_back(example.tokens.back());
      return Status();
    };
    ATTUNE_RETURN_IF_ERROR(EachExample(shard, sequences, model_.vocabulary_size(), take));
    const at::Tensor logits = model_.LabelLogits(PackTexts(texts, device_));
    const at::Tensor wanted = at::tensor(labels, at::kLong).to(device_);
    LossPart part{.root = at::cross_entropy_loss(logits, wanted, {}, at::Reduction::Sum),
                  .units = static_cast<int64_t>(labels.size())};
    part.loss = part.root.item<double>();
    part.right = logits.detach().argmax(1).eq(wanted).sum().item<int64_t>();
    return part;
  }

 private:
  LanguageModel& model_;
  const at::Device device_;
};

}  // namespace

std::unique_ptr<ObjectiveFunction> NewClassification(const ObjectiveParts& parts) {
  return std::make_unique<Classification>(parts);
}

}  // namespace attune::engine
