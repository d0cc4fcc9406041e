#pragma once

// cos and sin of rotary position embeddings. They are made on the host in float32, as transformers
// makes them, so that they are the same on every device; once, and kept on the model's device.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "common/model/rope_config.h"
#include "worker/engine/parts/context.h"

namespace attune::engine {

class RopeTable {
 public:
  RopeTable(RopeConfig config, const at::Device& device);

  // Whether a sequence that grows from `past` tokens by one gets other frequencies for good, so
  // that what was rotated before does not fit any more (longrope).
  bool SwitchesAfter(int64_t past) const;

  // Of rows whose positions begin at pasts[e] in example e, everywhere at 0 if there are none; see
  // PackedBatch for offsets. positions: int64 [T], the same numbers on the device.
  RopeRows Rows(const std::vector<int64_t>& offsets, const std::vector<int64_t>& pasts,
                const at::Tensor& positions);

 private:
  RopeConfig config_;
  at::Device device_;
  // Dynamic and long scaling: frequencies follow from each example's length, so that nothing can be
  // kept.
  bool is_dynamic_;
  RopeRows kept_;  // of positions 0, 1, ...
};

}  // namespace attune::engine
