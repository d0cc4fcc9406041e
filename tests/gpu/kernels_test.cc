// The GPU's kernels against the CPU's, on the same numbers.

#include <cmath>

#include "tests/gpu/gpu.h"
#include "worker/engine/kernels/attention.h"
#include "worker/engine/kernels/attention_gpu.h"
#include "worker/engine/kernels/cross_entropy.h"
#include "worker/engine/kernels/matmul.h"
#include "worker/engine/kernels/nf4.h"
#include "worker/engine/kernels/pointwise.h"

namespace attune::engine::kernels {
namespace {

at::Tensor Random(at::IntArrayRef shape, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(shape, generator, at::TensorOptions().dtype(at::kFloat));
}

double Error(const at::Tensor& got, const at::Tensor& expected) {
  const at::Tensor on_cpu = got.cpu().to(at::kFloat);
  return (on_cpu - expected).norm().item<double>() /
         std::max(1e-12, expected.norm().item<double>());
}

// float32 with a tolerance for other orders of summing, and bfloat16 with one for its rounding.
class GpuKernels : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { SKIP_WITHOUT_GPU(); }
  // Rounded to the type, so that both sides begin from the same numbers.
  at::Tensor Rounded(const at::Tensor& x) const { return x.to(GetParam()).to(at::kFloat); }
  at::Tensor OnGpu(const at::Tensor& x) const { return x.to(GetParam()).to(at::kCUDA); }
  double tolerance() const { return GetParam() == at::kFloat ? 2e-6 : 6e-3; }
};

TEST_P(GpuKernels, RmsNormAndItsGradient) {
  for (const int64_t cols : {1, 7, 48, 576, 2048, 5120, 12256, 12257}) {
    const at::Tensor x = Rounded(Random({300, cols}, 1)), dy = Rounded(Random({300, cols}, 2));
    const at::Tensor w = Random({cols}, 3);
    const Normalized expected = RmsNorm(x, w, 1e-5);
    const at::Tensor dx = Rounded(Random({300, cols}, 4)), dw = at::zeros({cols});
    const at::Tensor gpu_w = w.to(at::kCUDA), gpu_dx = OnGpu(dx), gpu_dw = dw.to(at::kCUDA);
    const Normalized got = RmsNorm(OnGpu(x), gpu_w, 1e-5);
    EXPECT_LT(Error(got.value, expected.value), tolerance()) << cols;
    EXPECT_LT(Error(got.rstd, expected.rstd), 2e-6) << cols;
    RmsNormBackward(dy, x, w, expected.rstd, dx, dw);
    RmsNormBackward(OnGpu(dy), OnGpu(x), gpu_w, got.rstd, gpu_dx, gpu_dw);
    EXPECT_LT(Error(gpu_dx, dx), tolerance()) << cols;
    EXPECT_LT(Error(gpu_dw, dw), 1e-5) << cols;
    RmsNormBackward(OnGpu(dy), OnGpu(x), gpu_w, got.rstd, gpu_dx, {});
  }
}

TEST_P(GpuKernels, RotateThereAndBack) {
  for (const int64_t dim : {2, 18, 64, 128}) {
    const at::Tensor x = Rounded(Random({50, 5 * dim}, 5)), angle = Random({50, dim / 2}, 6);
    const at::Tensor cos = angle.cos(), sin = angle.sin();
    const at::Tensor gpu = OnGpu(x), cpu = x.clone();
    Rotate(cpu, 3, dim, cos, sin, false);
    Rotate(gpu, 3, dim, cos.to(at::kCUDA), sin.to(at::kCUDA), false);
    EXPECT_LT(Error(gpu, cpu), tolerance()) << dim;
    Rotate(gpu, 3, dim, cos.to(at::kCUDA), sin.to(at::kCUDA), true);
    EXPECT_LT(Error(gpu, x), tolerance()) << dim;
  }
}

TEST_P(GpuKernels, SwigluAndItsGradient) {
  for (const int64_t cols : {1, 15, 64, 8192}) {
    const at::Tensor x = Rounded(Random({40, 2 * cols}, 7) * 4), d = Rounded(Random({40, cols}, 8));
    EXPECT_LT(Error(Swiglu(OnGpu(x)), Swiglu(x)), tolerance()) << cols;
    EXPECT_LT(Error(SwigluBackward(OnGpu(d), OnGpu(x)), SwigluBackward(d, x)), tolerance()) << cols;
  }
}

TEST_P(GpuKernels, DropoutDropsTheSame) {
  std::vector<RowPlace> places;
  for (uint32_t i = 0; i < 200; ++i) places.push_back({i / 7 * 1000003, i % 7});
  const DropoutMask mask = MakeDropoutMask(0.3, 0x123456789abcdef, 77);
  for (const int64_t cols : {1, 15, 130, 576, 2048}) {
    const at::Tensor x = Rounded(Random({200, cols}, 9)), gpu = OnGpu(x);
    const RowPlaces on_gpu(places, gpu.device());
    at::Tensor expected = at::empty_like(x), got = at::empty_like(gpu);
    Dropout(expected, x, mask, places);
    Dropout(got, gpu, mask, on_gpu);
    EXPECT_TRUE(at::equal(got.cpu() == 0, expected == 0)) << cols;
    EXPECT_LT(Error(got, expected), tolerance()) << cols;
    Dropout(got, gpu, mask, on_gpu, /*accumulate=*/true);
    EXPECT_LT(Error(got, expected * 2), tolerance()) << cols;
  }
}

TEST_P(GpuKernels, LinearCrossEntropyAndItsGradients) {
  // One vocabulary of whole vectors, one not.
  for (const int64_t vocabulary : {1000, 32003}) {
    const at::Tensor hidden = Rounded(Random({700, 64}, 10));
    const at::Tensor weight = Rounded(Random({vocabulary, 64}, 11) * 0.3);
    const at::Tensor targets = at::arange(700, at::kLong) * 37 % vocabulary;
    at::Tensor dw = at::empty({vocabulary, 64}), gpu_dw = at::empty({vocabulary, 64}, at::kCUDA);
    const HeadLoss expected = LinearCrossEntropy(hidden, weight, targets,
                                                 {.hidden_gradient = true, .weight_gradient = dw});
    const HeadLoss got = LinearCrossEntropy(OnGpu(hidden), OnGpu(weight), targets.to(at::kCUDA),
                                            {.hidden_gradient = true, .weight_gradient = gpu_dw});
    // bfloat16 logits are rounded; the sum of many losses hardly notices.
    EXPECT_NEAR(got.loss.item<double>() / expected.loss.item<double>(), 1,
                GetParam() == at::kFloat ? 1e-6 : 1e-3);
    EXPECT_LT(Error(got.hidden_gradient, expected.hidden_gradient), 2 * tolerance());
    EXPECT_LT(Error(gpu_dw, dw), 2 * tolerance());
  }
}

TEST_P(GpuKernels, CrossEntropyOfNoTokenIsNoNumber) {
  const at::Tensor hidden = OnGpu(Random({4, 8}, 1)), weight = OnGpu(Random({16, 8}, 2));
  const at::Tensor targets = at::tensor({0, 16, 3, 5}, at::kLong).to(at::kCUDA);
  EXPECT_TRUE(std::isnan(LinearCrossEntropy(hidden, weight, targets, {}).loss.item<double>()));
}

TEST_P(GpuKernels, CrossEntropyTellsOfNanAndStandsMinusInfinity) {
  // One vocabulary of whole vectors, one where each logit is all that its thread sees.
  for (const int64_t vocabulary : {16, 15}) {
    const at::Tensor hidden = at::zeros({1, 8}), targets = at::tensor({3}, at::kLong);
    hidden[0][0] = 1;
    auto loss = [&](int64_t column, double logit) {
      const at::Tensor weight = at::zeros({vocabulary, 8});
      weight[column][0] = logit;
      return LinearCrossEntropy(OnGpu(hidden), OnGpu(weight), targets.to(at::kCUDA), {})
          .loss.item<double>();
    };
    for (int64_t column = 4; column < vocabulary; ++column) {
      EXPECT_TRUE(std::isnan(loss(column, NAN))) << column << " of " << vocabulary;
      EXPECT_NEAR(loss(column, -INFINITY), std::log(vocabulary - 1.0), 1e-5) << column;
    }
  }
}

TEST_P(GpuKernels, AttentionAndItsGradient) {
  using gpu::FusedAttention;
  const std::vector<int64_t> offsets = {0, 1, 50, 50, 98, 410};
  for (const AttentionShape& shape :
       {AttentionShape{4, 2, 8}, AttentionShape{3, 3, 64}, AttentionShape{8, 2, 128},
        AttentionShape{6, 1, 20}, AttentionShape{2, 1, 130},
        AttentionShape{.heads = 4, .kv_heads = 2, .dim = 8, .window = 20, .softcap = 2},
        AttentionShape{.heads = 4, .kv_heads = 2, .dim = 8, .causal = false}}) {
    const at::Tensor qkv = Rounded(Random({410, shape.row_size()}, 12));
    const at::Tensor dout = Rounded(Random({410, shape.heads * shape.dim}, 13));
    const at::Tensor gpu = OnGpu(qkv);
    const ExampleSpans spans(offsets, gpu.device());
    const Attended expected = Attention(qkv, offsets, shape), got = Attention(gpu, spans, shape);
    const double limit = GetParam() == at::kFloat ? 1e-5 : 1e-2;
    EXPECT_LT(Error(got.out, expected.out), limit) << shape.dim;
    const at::Tensor gradient = AttentionBackward(OnGpu(dout), gpu, got, spans, shape);
    EXPECT_LT(Error(gradient, AttentionBackward(dout, qkv, expected, offsets, shape)), limit)
        << shape.dim;
    // A step that is run again gives the same bits.
    EXPECT_TRUE(at::equal(gradient, AttentionBackward(OnGpu(dout), gpu, got, spans, shape)));
    const bool plain = shape.causal && shape.softcap == 0 && shape.window == 0;
    const bool vectors = plain && shape.dim % (GetParam() == at::kFloat ? 4 : 8) == 0;
    EXPECT_EQ(gpu::FusedFor(gpu, spans, shape) != FusedAttention::kNone, vectors) << shape.dim;
  }
}

TEST_P(GpuKernels, FourBitsStandForWhatTheyDoOnTheCpu) {
  // Blocks that are whole and not, and an odd number of numbers.
  const std::vector<std::vector<int64_t>> shapes = {{64, 48}, {5, 7}, {3, 64}, {1, 1}, {130, 576}};
  for (const std::vector<int64_t>& shape : shapes) {
    const Nf4 weight = QuantizeNf4(Random(shape, 21));
    const at::Tensor expected = at::empty(shape), got = OnGpu(expected);
    DequantizeNf4(weight, expected);
    const Nf4 there{.shape = weight.shape,
                    .codes = weight.codes.to(at::kCUDA),
                    .magnitudes = weight.magnitudes.to(at::kCUDA),
                    .scales = weight.scales.to(at::kCUDA),
                    .mean = weight.mean};
    DequantizeNf4(there, got);
    EXPECT_TRUE(at::equal(got.cpu(), expected.to(GetParam()))) << at::IntArrayRef(shape);
  }
}

TEST_P(GpuKernels, MatMulToFloatDoesNotRound) {
  const at::Tensor a = Rounded(Random({70, 130}, 14)), b = Rounded(Random({130, 90}, 15));
  const at::Tensor got = MatMulToFloat(OnGpu(a), OnGpu(b));
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  EXPECT_LT(Error(got, at::mm(a, b)), 1e-5);
  MatMulToFloat(got, OnGpu(a), OnGpu(b), /*accumulate=*/true);
  EXPECT_LT(Error(got, at::mm(a, b) * 2), 1e-5);
  EXPECT_LT(Error(MatMulToFloat(OnGpu(a.t().contiguous()).t(), OnGpu(b)), at::mm(a, b)), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Types, GpuKernels, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

}  // namespace
}  // namespace attune::engine::kernels
