#include "worker/engine/eval/measure.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "worker/engine/batches/batch.h"
#include "worker/engine/data/example_list.h"

namespace attune::engine {
namespace {

// Runs of examples that fit a pass.
std::vector<Sequence> Passes(const TokenShard& examples) {
  std::vector<Sequence> passes;
  int64_t tokens = 0;
  for (uint32_t i = 0; i < examples.size(); ++i) {
    const int64_t length = examples.lengths()[i];
    if (passes.empty() || tokens + length > kTokensAPass) {
      passes.emplace_back();
      tokens = 0;
    }
    passes.back().push_back(i);
    tokens += length;
  }
  return passes;
}

std::vector<float> MeanOfRows(const at::Tensor& rows) {
  const at::Tensor mean = rows.to(at::kDouble).mean(0).to(at::kFloat).cpu().contiguous();
  const float* data = mean.const_data_ptr<float>();
  return {data, data + mean.numel()};
}

Status MeasurePass(LanguageModel& model, const TokenShard& examples, const Sequence& pass,
                   bool every_row, const at::Device& device, std::vector<MeasuredExample>* out) {
  const std::span<const Sequence> sequences(&pass, 1);
  ATTUNE_ASSIGN_OR_RETURN(const PackedBatch batch,
                          MakeBatch(examples, sequences, model.vocabulary_size(), device));
  const Measurement measured = model.Measure(batch, every_row);
  at::Tensor losses;
  if (model.predicts_next()) losses = measured.losses.to(at::kDouble).cpu();
  int64_t target = 0;
  for (size_t i = 0; i < pass.size(); ++i) {
    const int64_t targets = examples.target_counts()[pass[i]];
    MeasuredExample& example = out->emplace_back();
    example.tokens = batch.offsets[i + 1] - batch.offsets[i];
    example.targets = targets;
    example.predicted = model.predicts_next() && (targets > 0 || !model.reads_sources());
    if (example.predicted) {
      example.loss_sum = losses.narrow(0, target, targets).sum().item<double>();
    }
    target += targets;
    if (!std::isfinite(example.loss_sum)) {
      return FailedPrecondition(
          "the loss of an example is not finite: the model's weights are "
          "damaged, or training has ruined them");
    }
    const int64_t begin = batch.offsets[i], length = batch.offsets[i + 1] - begin;
    if (!every_row || length == 0) continue;
    if (example.predicted) {
      example.entropy =
          measured.entropies.narrow(0, begin, length).to(at::kDouble).mean().item<double>();
    }
    example.embedding = MeanOfRows(measured.hidden.narrow(0, begin, length));
  }
  return Status();
}

}  // namespace

Result<std::vector<MeasuredExample>> MeasureExamples(LanguageModel& model,
                                                     std::vector<TokenizedExample> examples,
                                                     bool every_row, const at::Device& device,
                                                     const std::function<Status()>& proceed) {
  const ExampleList list(std::move(examples));
  std::vector<MeasuredExample> measured;
  measured.reserve(list.size());
  for (const Sequence& pass : Passes(list)) {
    ATTUNE_RETURN_IF_ERROR(proceed());
    ATTUNE_RETURN_IF_ERROR(MeasurePass(model, list, pass, every_row, device, &measured));
  }
  return measured;
}

Result<std::vector<LabelledExample>> LabelTexts(LanguageModel& model,
                                                const std::vector<std::span<const uint32_t>>& texts,
                                                const at::Device& device,
                                                const std::function<Status()>& proceed) {
  at::NoGradGuard no_grad;
  std::vector<LabelledExample> labelled;
  std::vector<BatchText> pass;
  const auto flush = [&]() -> Status {
    ATTUNE_RETURN_IF_ERROR(proceed());
    const at::Tensor logits = model.LabelLogits(PackTexts(pass, device));
    const at::Tensor all = at::softmax(logits.to(at::kDouble), 1).cpu().contiguous();
    for (int64_t i = 0; i < all.size(0); ++i) {
      const double* row = all.const_data_ptr<double>() + i * all.size(1);
      LabelledExample& example = labelled.emplace_back();
      example.probabilities.assign(row, row + all.size(1));
      example.best = static_cast<size_t>(std::ranges::max_element(example.probabilities) -
                                         example.probabilities.begin());
      if (!std::isfinite(example.probabilities[example.best])) {
        return FailedPrecondition("the model's scores are not finite: its weights are damaged");
      }
    }
    pass.clear();
    return Status();
  };
  const std::vector<uint8_t> no_targets(
      texts.empty() ? 0
                    : std::ranges::max_element(texts, {}, [](auto t) { return t.size(); })->size());
  int64_t tokens = 0;
  for (const auto& text : texts) {
    const auto length = static_cast<int64_t>(text.size());
    if (!pass.empty() && tokens + length > kTokensAPass) {
      ATTUNE_RETURN_IF_ERROR(flush());
      tokens = 0;
    }
    pass.push_back({text, std::span(no_targets).first(text.size()), 0});
    tokens += length;
  }
  if (!pass.empty()) ATTUNE_RETURN_IF_ERROR(flush());
  return labelled;
}

}  // namespace attune::engine
