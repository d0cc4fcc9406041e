#include "worker/engine/kernels/nf4.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "worker/engine/kernels/parallel.h"

namespace attune::engine::kernels {
namespace {

constexpr int64_t kBlock = 64, kMagnitudes = 256;

// The quantiles of a normal distribution, with an exact 0.
constexpr std::array<float, 16> kNormalFloat = {-1.0f,
                                                -0.6961928009986877f,
                                                -0.5250730514526367f,
                                                -0.39491748809814453f,
                                                -0.28444138169288635f,
                                                -0.18477343022823334f,
                                                -0.09105003625154495f,
                                                0.0f,
                                                0.07958029955625534f,
                                                0.16093020141124725f,
                                                0.24611230194568634f,
                                                0.33791524171829224f,
                                                0.44070982933044434f,
                                                0.5626170039176941f,
                                                0.7229568362236023f,
                                                1.0f};

// Dettmers' dynamic data type of 8 bits: signs, powers of ten from 1e-6 to 1, and between two of
// them ever more steps (bitsandbytes' create_dynamic_map).
std::array<float, 256> DynamicMap() {
  std::array<float, 256> map{};
  size_t next = 0;
  for (int exponent = 0; exponent < 7; ++exponent) {
    const int items = 1 << exponent;
    const auto power = static_cast<float>(std::pow(10.0, exponent - 6));
    // The middles of `items` equal parts of [0.1, 1].
    const at::Tensor bounds = at::linspace(0.1, 1, items + 1, at::kFloat);
    const at::Tensor middles = (bounds.narrow(0, 0, items) + bounds.narrow(0, 1, items)) / 2.0;
    for (int i = 0; i < items; ++i) {
      const float value = power * middles[i].item<float>();
      map[next++] = value;
      map[next++] = -value;
    }
  }
  map[next++] = 0;
  map[next++] = 1;
  std::ranges::sort(map);
  return map;
}

const std::array<float, 256>& Dynamic() {
  static const std::array<float, 256> map = DynamicMap();
  return map;
}

template <size_t N>
at::Tensor TensorOf(const std::array<float, N>& values, const at::Device& device) {
  return at::tensor(at::ArrayRef<float>(values.data(), N), at::kFloat).to(device);
}

struct Blockwise {
  at::Tensor codes;   // int32 [numbers]
  at::Tensor scales;  // float32 [blocks]: the largest magnitude of each
};

// The nearest code of each number divided by its block's largest magnitude; the lower one of two
// that are as near. A last block may be shorter: it is as if zeros followed.
Blockwise Quantize(const at::Tensor& numbers, int64_t block, const at::Tensor& map) {
  const int64_t count = numbers.numel(), blocks = (count + block - 1) / block;
  at::Tensor padded = at::zeros({blocks * block}, numbers.options());
  padded.narrow(0, 0, count).copy_(numbers);
  padded = padded.view({blocks, block});
  const at::Tensor scales = padded.abs().amax(1);
  const at::Tensor scaled =
      (padded * scales.clamp_min(1e-38).reciprocal().unsqueeze(1)).clamp(-1, 1);
  const at::Tensor bounds =
      (map.narrow(0, 0, map.size(0) - 1) + map.narrow(0, 1, map.size(0) - 1)) / 2;
  return {at::bucketize(scaled.view({-1}), bounds, /*out_int32=*/true).narrow(0, 0, count), scales};
}

at::Tensor Magnitudes(const Nf4& weight) {
  const at::Tensor map = TensorOf(Dynamic(), weight.codes.device());
  const at::Tensor values = map.index_select(0, weight.magnitudes.to(at::kLong));
  const at::Tensor scales =
      weight.scales.repeat_interleave(kMagnitudes).narrow(0, 0, values.size(0));
  return values * scales + weight.mean;
}

void DequantizeOnCpu(const Nf4& weight, const at::Tensor& magnitudes, float* out) {
  const int64_t count = c10::multiply_integers(weight.shape);
  const uint8_t* codes = weight.codes.const_data_ptr<uint8_t>();
  const float* scales = magnitudes.const_data_ptr<float>();
  ParallelRows(magnitudes.size(0), 256, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      // Numbers of a block are products with few values, which are made once.
      std::array<float, 16> values;
      for (size_t i = 0; i < values.size(); ++i) values[i] = kNormalFloat[i] * scales[block];
      const int64_t last = std::min(count, (block + 1) * kBlock);
      for (int64_t i = block * kBlock; i + 1 < last; i += 2) {
        out[i] = values[codes[i / 2] >> 4];
        out[i + 1] = values[codes[i / 2] & 15];
      }
      if (last % 2 != 0) out[last - 1] = values[codes[last / 2] >> 4];
    }
  });
}

}  // namespace

Nf4 QuantizeNf4(const at::Tensor& weight) {
  const at::Tensor numbers = weight.detach().to(at::kFloat).contiguous().view({-1});
  const Blockwise first = Quantize(numbers, kBlock, TensorOf(kNormalFloat, weight.device()));
  Nf4 out{.shape = weight.sizes().vec()};
  at::Tensor codes = first.codes.to(at::kByte);
  if (codes.size(0) % 2 != 0) codes = at::constant_pad_nd(codes, {0, 1}, 7);  // of 0
  const at::Tensor pairs = codes.view({-1, 2});
  out.codes = pairs.select(1, 0).bitwise_left_shift(4).bitwise_or(pairs.select(1, 1)).contiguous();
  const at::Tensor mean = first.scales.mean();
  out.mean = mean.item<float>();
  const Blockwise second =
      Quantize(first.scales - mean, kMagnitudes, TensorOf(Dynamic(), weight.device()));
  out.magnitudes = second.codes.to(at::kByte);
  out.scales = second.scales;
  return out;
}

void DequantizeNf4(const Nf4& weight, const at::Tensor& out) {
  TORCH_CHECK(out.sizes() == weight.shape && out.is_contiguous(),
              "dequantising into another shape");
  const at::Tensor magnitudes = Magnitudes(weight);
  if (out.is_cpu() && out.scalar_type() == at::kFloat) {
    DequantizeOnCpu(weight, magnitudes, out.mutable_data_ptr<float>());
    return;
  }
  if (out.is_cpu()) {
    const at::Tensor wide = at::empty(weight.shape, at::kFloat);
    DequantizeOnCpu(weight, magnitudes, wide.mutable_data_ptr<float>());
    out.copy_(wide);
    return;
  }
  const int64_t count = out.numel();
  const at::Tensor codes =
      at::stack({weight.codes.bitwise_right_shift(4), weight.codes.bitwise_and(15)}, 1).view({-1});
  const at::Tensor values =
      TensorOf(kNormalFloat, out.device()).index_select(0, codes.narrow(0, 0, count).to(at::kLong));
  const at::Tensor scales = magnitudes.repeat_interleave(kBlock).narrow(0, 0, count);
  out.copy_((values * scales).view(weight.shape));
}

}  // namespace attune::engine::kernels
