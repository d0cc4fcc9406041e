#include "worker/engine/model/rope_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "worker/engine/model/rope.h"

namespace attune::engine {
namespace {

// Of `length` positions from `first` on, in a sequence that ends there.
void Write(const RopeConfig& config, int64_t first, int64_t length, float* cos, float* sin) {
  const RopeFrequencies rope = ComputeRope(config, first + length);
  for (int64_t i = 0; i < length; ++i) {
    for (const float inverse : rope.inverse) {
      const float angle = static_cast<float>(first + i) * inverse;
      *cos++ = std::cos(angle) * rope.scaling;
      *sin++ = std::sin(angle) * rope.scaling;
    }
  }
}

int64_t Past(const std::vector<int64_t>& pasts, size_t example) {
  return pasts.empty() ? 0 : pasts[example];
}

RopeRows MakeRows(const RopeConfig& config, const std::vector<int64_t>& offsets,
                  const std::vector<int64_t>& pasts, const at::Device& device) {
  const int64_t half = config.dim / 2;
  at::Tensor cos = at::empty({offsets.back(), half}, at::kFloat), sin = at::empty_like(cos);
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    Write(config, Past(pasts, e), offsets[e + 1] - offsets[e],
          cos.mutable_data_ptr<float>() + offsets[e] * half,
          sin.mutable_data_ptr<float>() + offsets[e] * half);
  }
  return {cos.to(device), sin.to(device)};
}

}  // namespace

RopeTable::RopeTable(RopeConfig config, const at::Device& device)
    : config_(std::move(config)),
      device_(device),
      is_dynamic_(config_.type == "dynamic" || config_.type == "longrope") {}

bool RopeTable::SwitchesAfter(int64_t past) const {
  return config_.type == "longrope" && past == config_.original_max_positions;
}

RopeRows RopeTable::Rows(const std::vector<int64_t>& offsets, const std::vector<int64_t>& pasts,
                         const at::Tensor& positions) {
  if (is_dynamic_) return MakeRows(config_, offsets, pasts, device_);
  int64_t longest = 0;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    longest = std::max(longest, Past(pasts, e) + offsets[e + 1] - offsets[e]);
  }
  if (!kept_.cos.defined() || kept_.cos.size(0) < longest) {
    // Generation asks for one more each time.
    const auto rows = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(longest)));
    kept_ = MakeRows(config_, {0, rows}, {}, device_);
  }
  return {kept_.cos.index_select(0, positions), kept_.sin.index_select(0, positions)};
}

}  // namespace attune::engine
