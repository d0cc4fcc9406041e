// Masked language modelling (Devlin et al. 2018): some of a text's tokens are to be found; of these
// 80 % are masked, 10 % are any token, 10 % stay. Where transformers' collator draws each token for
// itself, a fixed number of each text is drawn here, so that the plan knows the units of a step.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "common/base/hash.h"
#include "worker/engine/batches/batch.h"
#include "worker/engine/objectives/kinds.h"

namespace attune::engine {
namespace {

class MaskedTokens final : public ObjectiveFunction {
 public:
  explicit MaskedTokens(const ObjectiveParts& parts)
      : model_(parts.model),
        device_(parts.device),
        share_(parts.objective.mask_share),
        mask_(static_cast<uint32_t>(parts.mask_token)) {}

  int64_t Units(const TokenShard& shard, uint32_t example) const override {
    const auto maskable = static_cast<int64_t>(shard.target_counts()[example]);
    return std::clamp<int64_t>(std::llround(share_ * static_cast<double>(maskable)), 1, maskable);
  }

  Result<LossPart> Forward(const TokenShard& shard, std::span<const Sequence> sequences,
                           uint64_t draw) override {
    return Find(shard, sequences, [draw](const TokenExample&, uint32_t number) {
      return Random(draw).Next() ^ number;
    });
  }

  // What is to be found of an example follows from its id: the same whatever else is measured, and
  // of another model.
  Result<LossPart> Measure(const TokenShard& shard, const Sequence& examples) override {
    at::NoGradGuard no_grad;
    ATTUNE_ASSIGN_OR_RETURN(LossPart part,
                            Find(shard, {&examples, 1}, [](const TokenExample& example, uint32_t) {
                              uint64_t seed = 0;
                              for (const uint8_t byte : example.id.first(sizeof(seed))) {
                                seed = seed << 8 | byte;
                              }
                              return seed;
                            }));
    part.root.reset();
    return part;
  }

 private:
  using SeedOf = std::function<uint64_t(const TokenExample&, uint32_t)>;

  Result<LossPart> Find(const TokenShard& shard, std::span<const Sequence> sequences,
                        const SeedOf& seed_of) {
    std::vector<std::vector<uint32_t>> masked;  // their tokens, which texts point to
    std::vector<BatchText> texts;
    std::vector<int64_t> rows, targets;
    int64_t first = 0;
    const auto take = [&](const TokenExample& example, uint32_t number) {
      std::vector<uint32_t>& tokens =
          masked.emplace_back(example.tokens.begin(), example.tokens.end());
      const uint64_t seed = seed_of(example, number);
      for (const uint32_t place : Places(example, Units(shard, number), seed, &tokens)) {
        rows.push_back(first + place);
        targets.push_back(example.tokens[place]);
      }
      first += static_cast<int64_t>(tokens.size());
      texts.push_back({tokens, example.targets, number});
      return Status();
    };
    ATTUNE_RETURN_IF_ERROR(EachExample(shard, sequences, model_.vocabulary_size(), take));
    PackedBatch batch = PackTexts(texts, device_);
    batch.target_rows = at::tensor(rows, at::kLong).to(device_);
    batch.targets = at::tensor(targets, at::kLong).to(device_);
    LossPart part{.root = model_.LossSum(batch), .units = batch.targets.numel()};
    part.loss = part.root.item<double>();
    return part;
  }

  // Draws which tokens are to be found, in order, and hides them.
  std::vector<uint32_t> Places(const TokenExample& example, int64_t count, uint64_t seed,
                               std::vector<uint32_t>* tokens) const {
    std::vector<uint32_t> places;
    for (uint32_t i = 1; i < example.tokens.size(); ++i) {
      if (IsTarget(example.targets[i])) places.push_back(i);
    }
    Random random(seed);
    const auto drawn = static_cast<size_t>(count);
    for (size_t i = 0; i < drawn; ++i) {
      std::swap(places[i], places[i + random.Below(places.size() - i)]);
    }
    places.resize(drawn);
    std::ranges::sort(places);
    for (const uint32_t place : places) {
      const uint64_t fate = random.Below(10);
      if (fate < 8) (*tokens)[place] = mask_;
      if (fate == 8) {
        (*tokens)[place] =
            static_cast<uint32_t>(random.Below(static_cast<uint64_t>(model_.vocabulary_size())));
      }
    }
    return places;
  }

  LanguageModel& model_;
  const at::Device device_;
  const double share_;
  const uint32_t mask_;
};

}  // namespace

std::unique_ptr<ObjectiveFunction> NewMaskedTokens(const ObjectiveParts& parts) {
  return std::make_unique<MaskedTokens>(parts);
}

}  // namespace attune::engine
