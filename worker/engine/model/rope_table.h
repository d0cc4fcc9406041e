#pragma once

// cos and sin of rotary position embeddings. They are made on the host in float32, as transformers
// makes them, so that they are the same on every device; once, and kept on the model's device.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "common/model/llama_config.h"

namespace attune::engine {

struct RopeRows {
  at::Tensor cos, sin;  // float32 [T, head_dim / 2]
};

class RopeTable {
 public:
  RopeTable(const LlamaConfig& config, const at::Device& device);

  // Of rows whose positions begin at `past` in each example; see PackedBatch for offsets.
  // positions: int64 [T], the same numbers on the device.
  RopeRows Rows(const LlamaConfig& config, const std::vector<int64_t>& offsets, int64_t past,
                const at::Tensor& positions);

 private:
  at::Device device_;
  // Dynamic scaling: frequencies follow from each example's length, so that nothing can be kept.
  bool is_dynamic_;
  RopeRows kept_;  // of positions 0, 1, ...
};

}  // namespace attune::engine
