#include "worker/engine/kernels/nf4.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "worker/engine/kernels/blockwise.h"
#include "worker/engine/kernels/parallel.h"
#include "worker/engine/kernels/pointwise_gpu.h"

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

template <size_t N>
at::Tensor TensorOf(const std::array<float, N>& values, const at::Device& device) {
  return at::tensor(at::ArrayRef<float>(values.data(), N), at::kFloat).to(device);
}

at::Tensor Magnitudes(const Nf4& weight) {
  const at::Tensor map = TensorOf(DynamicMap(/*is_signed=*/true), weight.codes.device());
  return Dequantize(weight.magnitudes, weight.scales, kMagnitudes, map) + weight.mean;
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
  const Blockwise first =
      Quantize(numbers, kBlock, CodeBounds(TensorOf(kNormalFloat, weight.device())));
  Nf4 out{.shape = weight.sizes().vec()};
  at::Tensor codes = first.codes.to(at::kByte);
  if (codes.size(0) % 2 != 0) codes = at::constant_pad_nd(codes, {0, 1}, 7);  // of 0
  const at::Tensor pairs = codes.view({-1, 2});
  out.codes = pairs.select(1, 0).bitwise_left_shift(4).bitwise_or(pairs.select(1, 1)).contiguous();
  const at::Tensor mean = first.scales.mean();
  out.mean = mean.item<float>();
  const at::Tensor map = TensorOf(DynamicMap(/*is_signed=*/true), weight.device());
  const Blockwise second = Quantize(first.scales - mean, kMagnitudes, CodeBounds(map));
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
  const at::Tensor map = TensorOf(kNormalFloat, out.device());
  const int64_t count = out.numel();
  if (gpu::Takes(out)) {
    Gpu()->dequantize_nf4(gpu::CallFor(out), weight.codes.const_data_ptr<uint8_t>(),
                          map.const_data_ptr<float>(), magnitudes.const_data_ptr<float>(),
                          out.mutable_data_ptr(), count);
    return;
  }
  const at::Tensor codes =
      at::stack({weight.codes.bitwise_right_shift(4), weight.codes.bitwise_and(15)}, 1).view({-1});
  const at::Tensor values = map.index_select(0, codes.narrow(0, 0, count).to(at::kLong));
  const at::Tensor scales = magnitudes.repeat_interleave(kBlock).narrow(0, 0, count);
  out.copy_((values * scales).view(weight.shape));
}

}  // namespace attune::engine::kernels
