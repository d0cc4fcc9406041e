// Losses, entropies and hidden states of a batch, without gradients.

#include <ATen/ATen.h>

#include <algorithm>

#include "worker/engine/kernels/cross_entropy.h"
#include "worker/engine/model/transformer.h"

namespace attune::engine {

// take(first row, how many, their log probabilities), a chunk of rows at a time.
void Transformer::ForLogProbabilities(
    const at::Tensor& rows, const std::function<void(int64_t, int64_t, at::Tensor&)>& take) const {
  const at::Tensor weight = head().detach().to(dtype_);
  const int64_t chunk = kernels::LogitRows(rows.size(0), weight.size(0), rows.device());
  for (int64_t begin = 0; begin < rows.size(0); begin += chunk) {
    const int64_t count = std::min(chunk, rows.size(0) - begin);
    at::Tensor logits = LogitsOf(rows.narrow(0, begin, count), weight);
    logits.sub_(at::logsumexp(logits, {1}, /*keepdim=*/true));
    take(begin, count, logits);
  }
}

at::Tensor Transformer::TargetLosses(const PackedBatch& batch, const at::Tensor& x) const {
  at::NoGradGuard no_grad;
  const at::Tensor rows = Normalized(x.index_select(0, batch.target_rows));
  const at::Tensor losses = at::empty({rows.size(0)}, rows.options().dtype(at::kFloat));
  ForLogProbabilities(rows, [&](int64_t begin, int64_t count, at::Tensor& log_probability) {
    const at::Tensor index = batch.targets.narrow(0, begin, count).unsqueeze(1);
    losses.narrow(0, begin, count).copy_(log_probability.gather(1, index).squeeze(1).neg());
  });
  return losses;
}

Measurement Transformer::Measure(const PackedBatch& batch, bool every_row) {
  at::NoGradGuard no_grad;
  CheckTargets(batch, config_.vocabulary_size);
  const at::Tensor x = Hidden(batch, nullptr);
  if (!predicts_tokens()) return {.hidden = Normalized(x)};
  return MeasureRows(x, batch, every_row);
}

Measurement Transformer::MeasureRows(const at::Tensor& x, const PackedBatch& batch,
                                     bool every_row) const {
  if (!every_row) return {.losses = TargetLosses(batch, x)};
  const at::Tensor rows = Normalized(x);
  // The token that each row is to predict; where none is, any: its loss is not taken.
  at::Tensor next = at::zeros({rows.size(0)}, batch.targets.options());
  next.index_copy_(0, batch.target_rows, batch.targets);
  const auto floats = rows.options().dtype(at::kFloat);
  const at::Tensor losses = at::empty({rows.size(0)}, floats);
  Measurement out;
  out.hidden = config_.head == HeadKind::kMaskedToken ? x : rows;
  out.entropies = at::empty({rows.size(0)}, floats);
  ForLogProbabilities(rows, [&](int64_t begin, int64_t count, at::Tensor& log_probability) {
    const at::Tensor index = next.narrow(0, begin, count).unsqueeze(1);
    losses.narrow(0, begin, count).copy_(log_probability.gather(1, index).squeeze(1).neg());
    const at::Tensor entropy = (log_probability.exp().mul_(log_probability)).sum(1).neg();
    out.entropies.narrow(0, begin, count).copy_(entropy);
  });
  out.losses = losses.index_select(0, batch.target_rows);
  return out;
}

}  // namespace attune::engine
