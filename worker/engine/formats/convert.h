#pragma once

// Stored numbers to float32. Exact: every F16 and BF16 is a float32; F64 is rounded to nearest
// even. The bytes need no alignment.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/base/status.h"

namespace attune::engine {

// Without branches, so that loops over it become vector code. NaN payloads are kept.
inline float HalfToFloat(uint16_t half) {
  uint32_t magnitude = half & 0x7fffu;
  uint32_t bits = (magnitude << 13) + (112u << 23);
  bits += magnitude >= 0x7c00u ? 112u << 23 : 0u;  // infinity and NaN
  float subnormal = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f;
  bits = magnitude < 0x0400u ? std::bit_cast<uint32_t>(subnormal) : bits;
  return std::bit_cast<float>(bits | (half & 0x8000u) << 16);
}

inline float Bfloat16ToFloat(uint16_t value) {
  return std::bit_cast<float>(uint32_t{value} << 16);
}

// dtype: "F32", "F16", "BF16" or "F64"; bytes hold out.size() elements of it. kInvalidArgument for
// another dtype.
Status ConvertToFloat(std::string_view dtype, std::span<const std::byte> bytes,
                      std::span<float> out);

}  // namespace attune::engine
