#pragma once

// Numbers of an optimizer's state in 8 bits, on the CPU: what kernels::Quantize and Dequantize do,
// a block at a time and without a search. No torch here.

#include <array>
#include <cstdint>
#include <vector>

namespace attune::engine {

class StateCode {
 public:
  static constexpr int64_t kBlock = 256;  // numbers that share a scale

  // map: what each code stands for, ascending from -1 or more to 1.
  explicit StateCode(const std::array<float, 256>& map);

  void Decode(const uint8_t* codes, float scale, float* numbers, int64_t count) const;
  // The nearest codes of numbers / scale, the lower one of two that are as near; returns the scale,
  // the largest magnitude.
  float Encode(const float* numbers, uint8_t* codes, int64_t count) const;

 private:
  const std::array<float, 256> map_;
  std::array<float, 256> bounds_;    // code i + 1 begins above bounds_[i]; the last has no end
  std::vector<uint8_t> first_code_;  // of all floats whose upper 16 bits are the index, or less
};

}  // namespace attune::engine
