#include "worker/engine/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attune::engine {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

// base^(2i / dim) in float32, as torch computes it.
std::vector<float> Periods(double base, int64_t dim) {
  std::vector<float> periods(static_cast<size_t>(dim / 2));
  for (int64_t i = 0; i < dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    periods[static_cast<size_t>(i)] = std::pow(static_cast<float>(base), exponent);
  }
  return periods;
}

std::vector<float> Inverse(std::vector<float> periods) {
  for (float& value : periods) value = 1.0f / value;
  return periods;
}

// Low frequencies are divided by factor, high ones kept, those between interpolated.
void ScaleLlama3(const RopeConfig& rope, std::vector<float>& inverse) {
  const auto original = static_cast<double>(rope.original_max_positions);
  const auto low_wavelength = static_cast<float>(original / rope.low_freq_factor);
  const auto high_wavelength = static_cast<float>(original / rope.high_freq_factor);
  for (float& value : inverse) {
    const float wavelength = static_cast<float>(kTwoPi) / value;
    if (wavelength < high_wavelength) continue;
    if (wavelength > low_wavelength) {
      value /= static_cast<float>(rope.factor);
      continue;
    }
    const float smooth =
        (static_cast<float>(original) / wavelength - static_cast<float>(rope.low_freq_factor)) /
        static_cast<float>(rope.high_freq_factor - rope.low_freq_factor);
    value = (1 - smooth) * value / static_cast<float>(rope.factor) + smooth * value;
  }
}

double YarnScale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

RopeFrequencies Yarn(const RopeConfig& rope, int64_t dim) {
  RopeFrequencies result;
  if (rope.attention_factor) {
    result.scaling = static_cast<float>(*rope.attention_factor);
  } else if (rope.mscale.value_or(0) != 0 && rope.mscale_all_dim.value_or(0) != 0) {
    result.scaling = static_cast<float>(YarnScale(rope.factor, *rope.mscale) /
                                        YarnScale(rope.factor, *rope.mscale_all_dim));
  } else {
    result.scaling = static_cast<float>(YarnScale(rope.factor, 1));
  }
  // The dimension that turns `rotations` times within the original context.
  auto dimension = [&](double rotations) {
    return static_cast<double>(dim) *
           std::log(static_cast<double>(rope.original_max_positions) / (rotations * kTwoPi)) /
           (2 * std::log(rope.theta));
  };
  double low = dimension(rope.beta_fast), high = dimension(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  result.inverse = Periods(rope.theta, dim);
  for (size_t i = 0; i < result.inverse.size(); ++i) {
    const float period = result.inverse[i];
    const float ramp =
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float kept = 1 - std::clamp(ramp, 0.0f, 1.0f);
    result.inverse[i] =
        1.0f / (static_cast<float>(rope.factor) * period) * (1 - kept) + 1.0f / period * kept;
  }
  return result;
}

RopeFrequencies Longrope(const RopeConfig& rope, int64_t length) {
  const auto original = static_cast<double>(rope.original_max_positions);
  RopeFrequencies result;
  result.scaling = static_cast<float>(rope.attention_factor.value_or(
      rope.factor <= 1 ? 1.0 : std::sqrt(1 + std::log(rope.factor) / std::log(original))));
  const bool is_long = length > rope.original_max_positions;
  const std::vector<double>& factors = is_long ? rope.long_factors : rope.short_factors;
  result.inverse = Periods(rope.theta, rope.dim);
  for (size_t i = 0; i < result.inverse.size(); ++i) {
    result.inverse[i] = 1.0f / (static_cast<float>(factors[i]) * result.inverse[i]);
  }
  return result;
}

}  // namespace

RopeFrequencies ComputeRope(const RopeConfig& rope, int64_t length) {
  const int64_t dim = rope.dim;
  if (rope.type == "yarn") return Yarn(rope, dim);
  if (rope.type == "longrope") return Longrope(rope, length);
  double base = rope.theta;
  if (rope.type == "dynamic") {
    const double stretch = static_cast<double>(std::max(length, rope.max_positions)) /
                           static_cast<double>(rope.max_positions);
    base *= std::pow(rope.factor * stretch - (rope.factor - 1),
                     static_cast<double>(dim) / static_cast<double>(dim - 2));
  }
  RopeFrequencies result;
  result.inverse = Inverse(Periods(base, dim));
  if (rope.type == "linear") {
    for (float& value : result.inverse) value /= static_cast<float>(rope.factor);
  } else if (rope.type == "llama3") {
    ScaleLlama3(rope, result.inverse);
  }
  return result;
}

}  // namespace attune::engine
