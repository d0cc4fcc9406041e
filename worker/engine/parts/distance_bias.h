#pragma once

// What scores of attention get for how far a key is from its query.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "common/model/model_config.h"

namespace attune::engine {

// int64 [2 N - 1]: which bucket keys are in that are i - (N - 1) places after their query. Where
// rows see what comes after them, the upper half of the buckets is for that.
at::Tensor BucketsOfDistances(const DistanceBuckets& distances, int64_t longest, bool causal);

// Of a table of parameters [buckets, heads] the biases for examples of up to `longest` rows; see
// kernels::Attention. Differentiable.
at::Tensor DistanceBias(const at::Tensor& table, const DistanceBuckets& distances, int64_t longest,
                        bool causal);

}  // namespace attune::engine
