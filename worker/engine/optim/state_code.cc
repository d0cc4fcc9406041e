#include "worker/engine/optim/state_code.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace attune::engine {
namespace {

constexpr uint32_t kPrefixes = 1 << 16;

uint32_t PrefixOf(float number) {
  return std::bit_cast<uint32_t>(number) >> 16;
}

// The least float with that prefix: of negative ones the one with all other bits set.
float LeastOf(uint32_t prefix) {
  const uint32_t rest = prefix >> 15 != 0 ? 0xffff : 0;
  return std::bit_cast<float>((prefix << 16) | rest);
}

}  // namespace

StateCode::StateCode(const std::array<float, 256>& map) : map_(map), first_code_(kPrefixes) {
  for (size_t i = 0; i + 1 < map.size(); ++i) bounds_[i] = (map[i] + map[i + 1]) / 2;
  bounds_.back() = std::numeric_limits<float>::infinity();
  for (uint32_t prefix = 0; prefix < kPrefixes; ++prefix) {
    const float least = LeastOf(prefix);
    if (std::isnan(least)) continue;
    first_code_[prefix] =
        static_cast<uint8_t>(std::ranges::lower_bound(bounds_, least) - bounds_.begin());
  }
}

void StateCode::Decode(const uint8_t* codes, float scale, float* numbers, int64_t count) const {
  for (int64_t i = 0; i < count; ++i) numbers[i] = map_[codes[i]] * scale;
}

float StateCode::Encode(const float* numbers, uint8_t* codes, int64_t count) const {
  float scale = 0;
  for (int64_t i = 0; i < count; ++i) scale = std::max(scale, std::abs(numbers[i]));
  const float inverse = 1 / std::max(scale, 1e-38f);
  for (int64_t i = 0; i < count; ++i) {
    const float number = std::clamp(numbers[i] * inverse, -1.0f, 1.0f);
    // Floats of one prefix lie so near that a few codes at most are between them.
    uint8_t code = first_code_[PrefixOf(number)];
    while (number > bounds_[code]) ++code;
    codes[i] = code;
  }
  return scale;
}

}  // namespace attune::engine
