// Texts that belong together near each other (multiple negatives ranking; Henderson et al. 2017,
// sentence-transformers' MultipleNegativesRankingLoss): cross entropy over the scaled cosines of an
// anchor and all second and third texts of the step, of which its own second is the right one. A
// unit is an anchor.
//
// Every text of a step stands against every other, whatever ranks and micro-batches, as Gao et al.
// 2021 (GradCache) do it: all are embedded without gradient and gathered, the gradients by the
// embeddings follow, and then each micro-batch goes forward again and backward from those.

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "worker/engine/batches/batch.h"
#include "worker/engine/objectives/kinds.h"

namespace attune::engine {
namespace {

// Where the texts of some examples are in the matrix of their embeddings.
struct Places {
  std::vector<int64_t> anchors,
      candidates;                     // candidates: the second texts in order, then the third
  std::vector<int64_t> first_row{0};  // of each example, and the end
};

struct Ranking {
  at::Tensor losses;    // float64 [anchors]
  at::Tensor right;     // bool [anchors]
  at::Tensor gradient;  // float32 like the embeddings: of the sum of losses
};

Ranking Rank(const at::Tensor& embeddings, const Places& places, double scale) {
  const at::Tensor all = embeddings.to(at::kCPU, at::kDouble);
  const at::Tensor anchor_rows = at::tensor(places.anchors, at::kLong);
  const at::Tensor candidate_rows = at::tensor(places.candidates, at::kLong);
  const at::Tensor anchors = all.index_select(0, anchor_rows);
  const at::Tensor candidates = all.index_select(0, candidate_rows);
  const at::Tensor scores = at::mm(anchors, candidates.t()).mul_(scale);
  const at::Tensor own = at::arange(anchors.size(0), at::kLong);
  Ranking ranking;
  ranking.losses = at::logsumexp(scores, {1}) - scores.diagonal();
  ranking.right = scores.argmax(1).eq(own);
  at::Tensor slope = at::softmax(scores, 1);
  slope.diagonal().sub_(1);
  slope.mul_(scale);
  at::Tensor gradient = at::zeros_like(all);
  gradient.index_add_(0, anchor_rows, at::mm(slope, candidates));
  gradient.index_add_(0, candidate_rows, at::mm(slope.t(), anchors));
  ranking.gradient = gradient.to(at::kFloat);
  return ranking;
}

class EmbeddingObjective final : public ObjectiveFunction {
 public:
  explicit EmbeddingObjective(const ObjectiveParts& parts)
      : model_(parts.model),
        device_(parts.device),
        scale_(parts.objective.scale),
        global_batch_(parts.global_batch) {}

  int64_t Units(const TokenShard&, uint32_t) const override { return 1; }
  bool counts_right() const override { return true; }
  int examples_together() const override { return global_batch_; }

  Status Begin(const StepPart& part, Group& group) override {
    at::NoGradGuard no_grad;
    ATTUNE_ASSIGN_OR_RETURN(const Places places, FindPlaces(part.shard, part.step.sequences));
    int64_t first_example = 0;
    for (size_t s = 0; s < part.first; ++s) {
      first_example += static_cast<int64_t>(part.step.sequences[s].size());
    }
    next_example_ = first_example;
    next_row_ = places.first_row[static_cast<size_t>(first_example)];
    // A rank without sequences, as in an epoch's last step, has only zeros to add.
    const at::Tensor all = at::zeros({places.first_row.back(), model_.hidden_size()},
                                     at::TensorOptions().dtype(at::kFloat).device(device_));
    int64_t row = next_row_;
    for (const std::span<const Sequence> sequences : part.micro_batches) {
      ATTUNE_ASSIGN_OR_RETURN(const at::Tensor some, Embed(part.shard, sequences));
      all.narrow(0, row, some.size(0)).copy_(some);
      row += some.size(0);
    }
    ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<Pending> sum, group.StartSum(all));
    ATTUNE_RETURN_IF_ERROR(sum->Wait());
    ranking_ = Rank(all, places, scale_);
    ranking_.gradient = ranking_.gradient.to(device_);
    return Status();
  }

  Result<LossPart> Forward(const TokenShard& shard, std::span<const Sequence> sequences,
                           uint64_t) override {
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor embeddings, Embed(shard, sequences));
    LossPart part;
    for (const Sequence& sequence : sequences) part.units += static_cast<int64_t>(sequence.size());
    part.root = (embeddings * ranking_.gradient.narrow(0, next_row_, embeddings.size(0))).sum();
    part.loss = ranking_.losses.narrow(0, next_example_, part.units).sum().item<double>();
    part.right = ranking_.right.narrow(0, next_example_, part.units).sum().item<int64_t>();
    next_row_ += embeddings.size(0);
    next_example_ += part.units;
    return part;
  }

  Result<LossPart> Measure(const TokenShard& shard, const Sequence& examples) override {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<LossPart> parts, MeasureEach(shard, examples));
    LossPart sum;
    for (const LossPart& part : parts) {
      sum.loss += part.loss;
      sum.units += part.units;
      sum.right += part.right;
    }
    return sum;
  }

  Result<std::vector<LossPart>> MeasureEach(const TokenShard& shard,
                                            const Sequence& examples) override {
    at::NoGradGuard no_grad;
    ATTUNE_ASSIGN_OR_RETURN(const Places places, FindPlaces(shard, {&examples, 1}));
    std::vector<at::Tensor> all;
    for (const uint32_t number : examples) {
      const Sequence alone = {number};
      ATTUNE_ASSIGN_OR_RETURN(at::Tensor some, Embed(shard, {&alone, 1}));
      all.push_back(std::move(some));
    }
    const Ranking ranking = Rank(at::cat(all), places, scale_);
    std::vector<LossPart> parts;
    for (int64_t i = 0; i < std::ssize(examples); ++i) {
      parts.push_back({.loss = ranking.losses[i].item<double>(),
                       .units = 1,
                       .right = ranking.right[i].item<bool>() ? 1 : 0});
    }
    return parts;
  }

 private:
  Result<std::vector<BatchText>> Texts(const TokenShard& shard, uint32_t number) const {
    ATTUNE_ASSIGN_OR_RETURN(const TokenExample example,
                            CheckedExample(shard, number, model_.vocabulary_size()));
    std::vector<BatchText> texts = TextsOf(example, number);
    if (texts.size() < 2) return DataLoss("an example has no text that belongs to its first");
    return texts;
  }

  Result<Places> FindPlaces(const TokenShard& shard, std::span<const Sequence> sequences) const {
    Places places;
    std::vector<int64_t> third;
    for (const Sequence& sequence : sequences) {
      for (const uint32_t number : sequence) {
        ATTUNE_ASSIGN_OR_RETURN(const std::vector<BatchText> texts, Texts(shard, number));
        const int64_t row = places.first_row.back();
        places.anchors.push_back(row);
        places.candidates.push_back(row + 1);
        for (int64_t t = 2; t < std::ssize(texts); ++t) third.push_back(row + t);
        places.first_row.push_back(row + std::ssize(texts));
      }
    }
    places.candidates.insert(places.candidates.end(), third.begin(), third.end());
    return places;
  }

  // Of every text a row of unit length, as cosines want it.
  Result<at::Tensor> Embed(const TokenShard& shard, std::span<const Sequence> sequences) const {
    constexpr double kLengthMin = 1e-12;
    std::vector<BatchText> texts;
    for (const Sequence& sequence : sequences) {
      for (const uint32_t number : sequence) {
        ATTUNE_ASSIGN_OR_RETURN(const std::vector<BatchText> some, Texts(shard, number));
        texts.insert(texts.end(), some.begin(), some.end());
      }
    }
    const at::Tensor means = model_.MeanHidden(PackTexts(texts, device_));
    return means / means.norm(2, {1}, /*keepdim=*/true).clamp_min(kLengthMin);
  }

  LanguageModel& model_;
  const at::Device device_;
  const double scale_;
  const int global_batch_;
  Ranking ranking_;  // of the step
  int64_t next_row_ = 0, next_example_ = 0;
};

}  // namespace

std::unique_ptr<ObjectiveFunction> NewEmbedding(const ObjectiveParts& parts) {
  return std::make_unique<EmbeddingObjective>(parts);
}

}  // namespace attune::engine
