// Losses, entropies and hidden states of a batch, without gradients.

#include <ATen/ATen.h>

#include <algorithm>

#include "worker/engine/kernels/cross_entropy.h"
#include "worker/engine/model/transformer.h"

namespace attune::engine {
namespace {

// Log probabilities of what may follow some rows, a chunk of rows at a time. logits_of: of rows.
template <typename LogitsOf, typename Take>
void ForLogProbabilities(const at::Tensor& rows, int64_t vocabulary, LogitsOf logits_of,
                         Take take) {
  const int64_t chunk = kernels::LogitRows(rows.size(0), vocabulary, rows.device());
  for (int64_t begin = 0; begin < rows.size(0); begin += chunk) {
    const int64_t count = std::min(chunk, rows.size(0) - begin);
    at::Tensor logits = logits_of(rows.narrow(0, begin, count));
    logits.sub_(at::logsumexp(logits, {1}, /*keepdim=*/true));
    take(begin, count, logits);
  }
}

}  // namespace

Measurement Transformer::Measure(const PackedBatch& batch, bool every_row) {
  at::NoGradGuard no_grad;
  CheckTargets(batch, config_.vocabulary_size);
  const at::Tensor x = Hidden(batch, nullptr);
  if (config_.head == HeadKind::kNone) return {.hidden = x};
  return MeasureRows(x, batch, every_row);
}

Measurement Transformer::MeasureRows(at::Tensor x, const PackedBatch& batch, bool every_row) const {
  if (!every_row) x = x.index_select(0, batch.target_rows);
  const at::Tensor rows = Normalized(x);
  // The token that each row is to predict; where none is, any: its loss is not taken.
  at::Tensor next = batch.targets;
  if (every_row) {
    next = at::zeros({rows.size(0)}, batch.targets.options());
    next.index_copy_(0, batch.target_rows, batch.targets);
  }
  Measurement out;
  const auto floats = rows.options().dtype(at::kFloat);
  at::Tensor losses = at::empty({rows.size(0)}, floats);
  if (every_row) {
    out.hidden = config_.head == HeadKind::kMaskedToken ? x : rows;
    out.entropies = at::empty({rows.size(0)}, floats);
  }
  const at::Tensor weight = head().detach().to(dtype_);
  ForLogProbabilities(
      rows, weight.size(0), [&](const at::Tensor& some) { return LogitsOf(some, weight); },
      [&](int64_t begin, int64_t count, at::Tensor& log_probability) {
        const at::Tensor index = next.narrow(0, begin, count).unsqueeze(1);
        losses.narrow(0, begin, count).copy_(log_probability.gather(1, index).squeeze(1).neg());
        if (!every_row) return;
        const at::Tensor entropy = (log_probability.exp().mul_(log_probability)).sum(1).neg();
        out.entropies.narrow(0, begin, count).copy_(entropy);
      });
  out.losses = every_row ? losses.index_select(0, batch.target_rows) : losses;
  return out;
}

}  // namespace attune::engine
