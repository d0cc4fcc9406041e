// Direct preference optimisation (Rafailov et al. 2023): softplus(-beta * h), where h is by how
// much more the model prefers the chosen answer to the rejected one than it did at the start. A
// unit is a pair.

#include <ATen/ATen.h>

#include "worker/engine/batches/batch.h"
#include "worker/engine/objectives/kinds.h"

namespace attune::engine {
namespace {

// Chosen and rejected answers by turns.
struct PairBatch {
  PackedBatch batch;
  at::Tensor text_of_target;  // int64 [N]
  int64_t pairs = 0;
};

class Preference final : public ObjectiveFunction {
 public:
  explicit Preference(const ObjectiveParts& parts)
      : model_(parts.model),
        reference_(parts.reference),
        device_(parts.device),
        beta_(parts.objective.beta) {}

  int64_t Units(const TokenShard&, uint32_t) const override { return 1; }
  bool counts_right() const override { return true; }

  Result<LossPart> Forward(const TokenShard& shard, std::span<const Sequence> sequences,
                           uint64_t) override {
    ATTUNE_ASSIGN_OR_RETURN(const PairBatch pairs, MakePairs(shard, sequences));
    const at::Tensor start = SumsByText(pairs, StartLosses(pairs.batch));
    LossPart part{.units = pairs.pairs};
    part.root = model_.WeightedLossSum(pairs.batch, [&](const at::Tensor& losses) {
      return Weigh(pairs, SumsByText(pairs, losses) - start, &part);
    });
    return part;
  }

 private:
  Result<PairBatch> MakePairs(const TokenShard& shard, std::span<const Sequence> sequences) const {
    PairBatch pairs;
    std::vector<BatchText> texts;
    const auto take = [&](const TokenExample& example, uint32_t number) -> Status {
      const std::vector<BatchText> two = TextsOf(example, number);
      if (two.size() != 2) return DataLoss("an example of preferences is no pair");
      texts.insert(texts.end(), two.begin(), two.end());
      ++pairs.pairs;
      return Status();
    };
    ATTUNE_RETURN_IF_ERROR(EachExample(shard, sequences, model_.vocabulary_size(), take));
    std::vector<int64_t> text_of_target;
    for (size_t t = 0; t < texts.size(); ++t) {
      const auto rest = texts[t].targets.subspan(1);
      const auto count = static_cast<size_t>(std::ranges::count_if(rest, IsTarget));
      text_of_target.insert(text_of_target.end(), count, static_cast<int64_t>(t));
    }
    pairs.batch = PackTexts(texts, device_);
    pairs.text_of_target = at::tensor(text_of_target, at::kLong).to(device_);
    return pairs;
  }

  // Of each target, by the model that training began with.
  at::Tensor StartLosses(const PackedBatch& batch) const {
    if (reference_ != nullptr) return reference_->Measure(batch, /*every_row=*/false).losses;
    model_.EnableAdapter(false);
    const at::Tensor losses = model_.Measure(batch, /*every_row=*/false).losses;
    model_.EnableAdapter(true);
    return losses;
  }

  static at::Tensor SumsByText(const PairBatch& pairs, const at::Tensor& losses) {
    return at::zeros({2 * pairs.pairs}, losses.options().dtype(at::kDouble))
        .index_add_(0, pairs.text_of_target, losses.to(at::kDouble));
  }

  // The derivative of the loss by each target's; moved: by how much each text's is above the start.
  at::Tensor Weigh(const PairBatch& pairs, const at::Tensor& moved, LossPart* part) const {
    const at::Tensor by_pair = moved.view({pairs.pairs, 2});
    const at::Tensor h = by_pair.select(1, 1) - by_pair.select(1, 0);
    part->loss = at::softplus(-beta_ * h).sum().item<double>();
    part->right = h.gt(0).sum().item<int64_t>();
    const at::Tensor slope = beta_ * at::sigmoid(-beta_ * h);
    const at::Tensor weights = at::stack({slope, -slope}, 1).view({-1});
    return weights.index_select(0, pairs.text_of_target).to(at::kFloat);
  }

  LanguageModel& model_;
  LanguageModel* const reference_;
  const at::Device device_;
  const double beta_;
};

}  // namespace

std::unique_ptr<ObjectiveFunction> NewPreference(const ObjectiveParts& parts) {
  return std::make_unique<Preference>(parts);
}

}  // namespace attune::engine
