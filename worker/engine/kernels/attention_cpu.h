#pragma once

// Attention of float32 rows on the CPU; see attention.h for the layout. No torch here.
//
// Scores are kept transposed, a block of queries as the columns: softmax then runs down the columns
// without crossing lanes, and the probabilities are at once the packed operand of the next product.

#include <cstdint>
#include <vector>

#include "worker/engine/kernels/attention_shape.h"

namespace attune::engine::kernels {

// out [T, heads * dim], logsumexp [heads, T] with T = offsets.back().
void AttentionCpu(const float* qkv, const std::vector<int64_t>& offsets,
                  const AttentionShape& shape, float* out, float* logsumexp);
// dqkv has the layout of qkv and is overwritten.
void AttentionCpuBackward(const float* dout, const float* qkv, const float* out,
                          const float* logsumexp, const std::vector<int64_t>& offsets,
                          const AttentionShape& shape, float* dqkv);

}  // namespace attune::engine::kernels
