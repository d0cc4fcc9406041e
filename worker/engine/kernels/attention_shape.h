#pragma once

#include <cstdint>

namespace attune::engine::kernels {

// Rows of qkv are [heads * dim | kv_heads * dim | kv_heads * dim]: queries, keys, values.
struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, dim = 0;
  int64_t row_size() const { return (heads + 2 * kv_heads) * dim; }
};

}  // namespace attune::engine::kernels
