#include "worker/engine/kernels/blockwise.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace attune::engine::kernels {
namespace {

std::array<float, 256> MakeDynamicMap(bool is_signed) {
  std::array<float, 256> map{};
  size_t next = 0;
  for (int exponent = 0; exponent < 7; ++exponent) {
    const int items = 1 << (is_signed ? exponent : exponent + 1);
    const auto power = static_cast<float>(std::pow(10.0, exponent - 6));
    // The middles of `items` equal parts of [0.1, 1].
    const at::Tensor bounds = at::linspace(0.1, 1, items + 1, at::kFloat);
    const at::Tensor middles = (bounds.narrow(0, 0, items) + bounds.narrow(0, 1, items)) / 2.0;
    for (int i = 0; i < items; ++i) {
      const float value = power * middles[i].item<float>();
      map[next++] = value;
      if (is_signed) map[next++] = -value;
    }
  }
  map[next++] = 0;
  map[next++] = 1;
  std::ranges::sort(map);
  return map;
}

}  // namespace

const std::array<float, 256>& DynamicMap(bool is_signed) {
  static const std::array<float, 256> with_signs = MakeDynamicMap(true),
                                      without = MakeDynamicMap(false);
  return is_signed ? with_signs : without;
}

at::Tensor CodeBounds(const at::Tensor& map) {
  return (map.narrow(0, 0, map.size(0) - 1) + map.narrow(0, 1, map.size(0) - 1)) / 2;
}

Blockwise Quantize(const at::Tensor& numbers, int64_t block, const at::Tensor& bounds) {
  const int64_t count = numbers.numel(), blocks = (count + block - 1) / block;
  at::Tensor padded = at::zeros({blocks * block}, numbers.options());
  padded.narrow(0, 0, count).copy_(numbers);
  padded = padded.view({blocks, block});
  const at::Tensor scales = padded.abs().amax(1);
  const at::Tensor scaled =
      (padded * scales.clamp_min(1e-38).reciprocal().unsqueeze(1)).clamp(-1, 1);
  return {at::bucketize(scaled.view({-1}), bounds, /*out_int32=*/true).narrow(0, 0, count), scales};
}

at::Tensor Dequantize(const at::Tensor& codes, const at::Tensor& scales, int64_t block,
                      const at::Tensor& map) {
  const at::Tensor values = map.index_select(0, codes.view({-1}).to(at::kLong));
  return values * scales.repeat_interleave(block).narrow(0, 0, values.size(0));
}

}  // namespace attune::engine::kernels
