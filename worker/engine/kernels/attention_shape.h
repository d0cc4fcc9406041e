#pragma once

#include <cmath>
#include <cstdint>

namespace attune::engine::kernels {

// Rows of qkv are [heads * dim | kv_heads * dim | kv_heads * dim]: queries, keys, values.
struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, dim = 0;
  double scale = 0;    // of the products of queries and keys; 0: 1 / sqrt(dim)
  int64_t window = 0;  // a row sees so many, itself and those before it; 0: all before it
  double softcap = 0;  // scores are cap * tanh(scaled product / cap); 0: not capped
  bool causal = true;  // else a row sees all of its example

  int64_t row_size() const { return (heads + 2 * kv_heads) * dim; }
  double Scale() const { return scale > 0 ? scale : 1 / std::sqrt(static_cast<double>(dim)); }
  // Whether some row of an example of this length is kept from one before it.
  bool Windowed(int64_t length) const { return window > 0 && window < length; }
};

}  // namespace attune::engine::kernels
