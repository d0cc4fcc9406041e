#pragma once

// Output projection and cross entropy in one, a chunk of rows at a time, so that logits never exist
// as a whole. The gradients are made in the same pass (the idea of Liger's fused linear cross
// entropy).

#include <ATen/core/Tensor.h>

namespace attune::engine::kernels {

// How many of the rows' logits should exist at once: the length of equal chunks.
int64_t LogitRows(int64_t rows, int64_t vocabulary, const at::Device& device);

// cap * tanh(logits / cap) in float32, in the memory of logits where that is their type; a cap of 0
// changes nothing.
at::Tensor CapLogits(const at::Tensor& logits, double cap);

struct HeadLoss {
  at::Tensor loss;             // float32 scalar: sum of weighted negative log likelihoods
  at::Tensor hidden_gradient;  // [N, H] like hidden; undefined unless asked
};

struct HeadOptions {
  at::Tensor weights;  // float32 [N], of the losses; undefined: 1
  at::Tensor bias;     // [V], of the logits; may be undefined
  double softcap = 0;  // see CapLogits
  bool hidden_gradient = false;
  // float32 [V, H] and [V], which are overwritten; undefined: not wanted.
  at::Tensor weight_gradient, bias_gradient;
};

// hidden [N, H] and weight [V, H] of one dtype, targets int64 [N] within [0, V).
HeadLoss LinearCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight,
                            const at::Tensor& targets, const HeadOptions& options);

}  // namespace attune::engine::kernels
