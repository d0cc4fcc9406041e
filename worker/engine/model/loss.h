#pragma once

// The ends of the model as autograd nodes: token embedding, and final norm with output projection
// and loss.

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>

#include "worker/engine/model/language_model.h"
#include "worker/engine/parts/norm.h"

namespace attune::engine {

// The gradient of tied embeddings, made by the loss and completed by the embedding: one tensor,
// given once.
struct TiedGradient {
  at::Tensor value;
};

struct Embedding {
  at::Tensor weight;               // [V, H]
  double scale = 1;                // of what comes out, rounded to its type
  std::optional<int64_t> padding;  // gives no gradient
};
// tokens int64 [T] -> [T, H] in dtype. tied: null unless the loss uses the same weight and it
// trains.
at::Tensor Embed(const at::Tensor& tokens, const Embedding& embedding, at::ScalarType dtype,
                 const std::shared_ptr<TiedGradient>& tied);

// Throws where a target is outside the vocabulary. Not on a GPU, where looking would make the host
// wait for all that is queued: MakeBatch has looked.
void CheckTargets(const PackedBatch& batch, int64_t vocabulary);

// The end of a model: norm, output projection, its bias (may be undefined), cap of the logits, and
// what the norm's output is multiplied by.
struct OutputHead {
  const Norm& norm;
  const at::Tensor& weight;  // [V, H]
  const at::Tensor& bias;    // [V]
  double softcap = 0;
  double scale = 1;
};
// Sum of negative log likelihoods at the batch's target rows of x [T, H], each times its weight
// (float32 [N]) where there are weights.
at::Tensor HeadLossSum(const at::Tensor& x, const OutputHead& head, const PackedBatch& batch,
                       const std::shared_ptr<TiedGradient>& tied, const at::Tensor& weights = {});

}  // namespace attune::engine
