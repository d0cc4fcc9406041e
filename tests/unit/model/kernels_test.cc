// Every instruction set's loops against ATen.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cmath>
#include <new>

#include "worker/engine/kernels/attention.h"
#include "worker/engine/kernels/cpu_kernels.h"
#include "worker/engine/kernels/cross_entropy.h"
#include "worker/engine/kernels/gemm.h"
#include "worker/engine/kernels/matmul.h"
#include "worker/engine/kernels/parallel.h"
#include "worker/engine/kernels/pointwise.h"

namespace attune::engine::kernels {
namespace {

std::vector<const CpuKernels*> Runnable() {
  std::vector<const CpuKernels*> sets = {&kCpuKernelsBaseline};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    sets.push_back(&kCpuKernelsAvx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    sets.push_back(&kCpuKernelsAvx512);
  }
  return sets;
}

at::Tensor Random(at::IntArrayRef shape, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(shape, generator, at::TensorOptions().dtype(at::kFloat));
}

double Error(const at::Tensor& got, const at::Tensor& expected) {
  return (got - expected).abs().max().item<double>() /
         std::max(1.0, expected.abs().max().item<double>());
}

TEST(RunParallel, WhatAMemberThrowsComesOutOnce) {
  std::atomic<int> ended = 0;
  const auto run = [&] {
    RunParallel(2, [&](int, int) {
      ++ended;
      throw std::bad_alloc();
    });
  };
  EXPECT_THROW(run(), std::bad_alloc);
  EXPECT_GE(ended, 1);
  EXPECT_THROW(run(), std::bad_alloc) << "the threads are still there";
}

class CpuKernelsTest : public testing::TestWithParam<const CpuKernels*> {};

TEST_P(CpuKernelsTest, RmsNormAndItsGradientMatchAutograd) {
  for (const int64_t cols : {1, 7, 16, 31, 48, 576}) {
    at::Tensor x = Random({5, cols}, 1).requires_grad_(true);
    at::Tensor w = Random({cols}, 2).requires_grad_(true);
    const at::Tensor dy = Random({5, cols}, 3);
    const at::Tensor expected = w * (x * (x.square().mean(1, true) + 1e-5).rsqrt());
    expected.backward(dy);
    at::Tensor h = at::empty({5, cols}), rstd = at::empty({5}), dx = at::ones({5, cols}),
               dw = at::zeros({cols});
    GetParam()->rms_norm(x.const_data_ptr<float>(), w.const_data_ptr<float>(),
                         h.mutable_data_ptr<float>(), rstd.mutable_data_ptr<float>(), 5, cols,
                         1e-5f);
    EXPECT_LT(Error(h, expected.detach()), 1e-5) << cols;
    GetParam()->rms_norm_backward(dy.const_data_ptr<float>(), x.const_data_ptr<float>(),
                                  w.const_data_ptr<float>(), rstd.const_data_ptr<float>(),
                                  dx.mutable_data_ptr<float>(), dw.mutable_data_ptr<float>(), 5,
                                  cols);
    EXPECT_LT(Error(dx, x.grad() + 1), 1e-4) << cols;
    EXPECT_LT(Error(dw, w.grad()), 1e-4) << cols;
  }
}

TEST_P(CpuKernelsTest, SwigluAndItsGradientMatchAutograd) {
  for (const int64_t cols : {1, 15, 64, 113}) {
    at::Tensor gate_up = (Random({3, 2 * cols}, 4) * 8).requires_grad_(true);
    const at::Tensor dy = Random({3, cols}, 5);
    const at::Tensor expected =
        at::silu(gate_up.narrow(1, 0, cols)) * gate_up.narrow(1, cols, cols);
    expected.backward(dy);
    at::Tensor out = at::empty({3, cols}), gradient = at::empty({3, 2 * cols});
    GetParam()->swiglu(gate_up.const_data_ptr<float>(), out.mutable_data_ptr<float>(), 3, cols);
    EXPECT_LT(Error(out, expected.detach()), 1e-6);
    GetParam()->swiglu_backward(dy.const_data_ptr<float>(), gate_up.const_data_ptr<float>(),
                                gradient.mutable_data_ptr<float>(), 3, cols);
    EXPECT_LT(Error(gradient, gate_up.grad()), 1e-6);
  }
}

TEST_P(CpuKernelsTest, CrossEntropyAndItsGradientMatchAutograd) {
  for (const int64_t cols : {1, 5, 64, 1003}) {
    at::Tensor logits = (Random({1, cols}, 6) * 20).requires_grad_(true);
    const int64_t target = cols / 2;
    const at::Tensor loss = -at::log_softmax(logits, 1)[0][target];
    loss.backward();
    at::Tensor row = logits.detach().clone();
    const float plain =
        GetParam()->cross_entropy(row.mutable_data_ptr<float>(), cols, target, false);
    EXPECT_TRUE(at::equal(row, logits.detach()));
    const float with = GetParam()->cross_entropy(row.mutable_data_ptr<float>(), cols, target, true);
    EXPECT_NEAR(plain, loss.item<float>(), 1e-5 * std::max(1.0f, loss.item<float>()));
    EXPECT_EQ(plain, with);
    EXPECT_LT(Error(row, logits.grad()), 1e-6);
  }
}

TEST_P(CpuKernelsTest, CrossEntropyStandsExtremeLogits) {
  at::Tensor row = at::tensor({-1e30f, 1e4f, 0.0f});
  EXPECT_FLOAT_EQ(GetParam()->cross_entropy(row.mutable_data_ptr<float>(), 3, 1, true), 0.0f);
  EXPECT_TRUE(at::isfinite(row).all().item<bool>());
}

TEST_P(CpuKernelsTest, RotateThenInverseIsIdentity) {
  for (const int64_t dim : {2, 8, 18, 64}) {
    const at::Tensor x = Random({4, 3 * dim + 5}, 7), angle = Random({4, dim / 2}, 8);
    const at::Tensor cos = angle.cos(), sin = angle.sin();
    at::Tensor y = x.clone();
    auto rotate = [&](float sign) {
      GetParam()->rotate(y.mutable_data_ptr<float>(), y.stride(0), 4, 2, dim,
                         cos.const_data_ptr<float>(), sin.const_data_ptr<float>(), sign);
    };
    rotate(1);
    const at::Tensor head = x.narrow(1, dim, dim);
    const at::Tensor a = head.narrow(1, 0, dim / 2), b = head.narrow(1, dim / 2, dim / 2);
    EXPECT_LT(Error(y.narrow(1, dim, dim), at::cat({a * cos - b * sin, b * cos + a * sin}, 1)),
              1e-6);
    EXPECT_TRUE(at::equal(y.narrow(1, 2 * dim, dim + 5), x.narrow(1, 2 * dim, dim + 5)));
    rotate(-1);
    EXPECT_LT(Error(y, x), 1e-5);
  }
}

// Philox4x32-10 as its paper has it.
std::array<uint32_t, 4> Philox(uint64_t seed, std::array<uint32_t, 4> c) {
  auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
    const uint64_t a = uint64_t{0xD2511F53u} * c[0], b = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key0, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ key1, static_cast<uint32_t>(a)};
  }
  return c;
}

// The answers that Random123's authors give.
TEST(Philox, TheReferenceOfTheseTestsGivesTheKnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(Philox(0, {}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox(~uint64_t{0}, {~0u, ~0u, ~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox(0x299f31d0a4093822, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

bool IsKept(const DropoutMask& mask, RowPlace place, uint32_t feature) {
  const auto words = Philox(
      mask.seed, {16 * (feature / 128) + feature % 16, place.position, place.example, mask.module});
  const uint32_t half = feature % 128 / 16;
  return (words[half / 2] >> (half % 2 * 16) & 0xffff) >= mask.threshold;
}

TEST_P(CpuKernelsTest, DropoutIsTheOneThatIsDocumented) {
  const DropoutMask mask = MakeDropoutMask(0.3, 0x123456789abcdef, 77);
  const std::vector<RowPlace> places = {{0, 0}, {0, 1}, {900000, 4095}};
  for (const int64_t cols : {1, 15, 16, 130, 576}) {
    const at::Tensor x = Random({3, cols}, 9);
    at::Tensor expected = at::empty_like(x), out = at::empty_like(x);
    for (int64_t row = 0; row < 3; ++row) {
      for (int64_t f = 0; f < cols; ++f) {
        const bool kept = IsKept(mask, places[row], static_cast<uint32_t>(f));
        expected[row][f] = kept ? x[row][f].item<float>() * mask.scale : 0.0f;
      }
    }
    auto run = [&](bool accumulate) {
      GetParam()->dropout(mask, places.data(), x.const_data_ptr<float>(),
                          out.mutable_data_ptr<float>(), 3, cols, accumulate);
    };
    run(false);
    EXPECT_TRUE(at::equal(out, expected)) << cols;
    run(true);
    EXPECT_LT(Error(out, expected * 2), 1e-6) << cols;
  }
}

TEST_P(CpuKernelsTest, PackTransposesAndPads) {
  const at::Tensor source = Random({13, 21}, 10);
  const CpuKernels& cpu = *GetParam();
  for (const int64_t width : {cpu.tile_rows, cpu.tile_cols}) {
    const int64_t count = std::min<int64_t>(width, 13);
    at::Tensor panel = at::full({21, width}, -1.0f);
    cpu.pack(source.const_data_ptr<float>(), 1, 21, 21, width, count,
             panel.mutable_data_ptr<float>());
    EXPECT_TRUE(at::equal(panel.narrow(1, 0, count), source.narrow(0, 0, count).t()));
    EXPECT_TRUE((panel.narrow(1, count, width - count) == 0).all().item<bool>());
    const int64_t across = std::min<int64_t>(width, 21);
    panel = at::full({13, width}, -1.0f);
    cpu.pack(source.const_data_ptr<float>(), 21, 1, 13, width, across,
             panel.mutable_data_ptr<float>());
    EXPECT_TRUE(at::equal(panel.narrow(1, 0, across), source.narrow(1, 0, across)));
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, CpuKernelsTest, testing::ValuesIn(Runnable()),
                         [](const auto& info) { return std::string(info.param->name); });

// 1 where an element was dropped, minus the share p: [64 positions of 16 examples, 576].
at::Tensor Dropped(double p, uint64_t seed, uint32_t module) {
  std::vector<RowPlace> places;
  for (uint32_t i = 0; i < 16 * 64; ++i) places.push_back({i / 64, i % 64});
  const at::Tensor x = at::ones({16 * 64, 576});
  Dropout(x, x, MakeDropoutMask(p, seed, module), places);
  return (x == 0).to(at::kDouble) - p;
}

TEST(Dropout, DropsTheShareAndKeepsTheExpectation) {
  for (const double p : {0.05, 0.3, 0.9}) {
    const at::Tensor dropped = Dropped(p, 5, 3);
    const double sigma = std::sqrt(p * (1 - p) / static_cast<double>(dropped.numel()));
    EXPECT_NEAR(dropped.mean().item<double>(), 0, 4 * sigma + 1.0 / 65536) << p;
    const DropoutMask mask = MakeDropoutMask(p, 5, 3);
    EXPECT_NEAR(mask.scale * (1 - mask.threshold / 65536.0), 1, 1e-6);
    // Every feature, and every row, has about its share.
    EXPECT_LT(dropped.mean(0).abs().max().item<double>(), 5 * std::sqrt(p * (1 - p) / 1024));
    EXPECT_LT(dropped.mean(1).abs().max().item<double>(), 5 * std::sqrt(p * (1 - p) / 576));
  }
  EXPECT_EQ(MakeDropoutMask(0, 1, 1).threshold, 0u);
}

TEST(Dropout, NeighboursAreNotCorrelated) {
  for (const double p : {0.05, 0.5}) {
    const at::Tensor here = Dropped(p, 5, 3);
    auto expect_none = [&](const at::Tensor& a, const at::Tensor& b, const std::string& what) {
      const double sigma = p * (1 - p) / std::sqrt(static_cast<double>(a.numel()));
      EXPECT_LT(std::abs((a * b).mean().item<double>()), 4 * sigma + 1e-6) << what << " " << p;
    };
    for (const int64_t lag : {1, 2, 15, 16, 17, 32, 64, 128}) {
      expect_none(here.slice(1, lag), here.slice(1, 0, 576 - lag), "features");
    }
    for (const int64_t lag : {1, 2, 64, 128}) {
      expect_none(here.slice(0, lag), here.slice(0, 0, 1024 - lag), "positions and examples");
    }
    expect_none(here, Dropped(p, 5, 4), "modules");
    expect_none(here, Dropped(p, 6, 3), "steps");
    expect_none(here, Dropped(p, 5 + (uint64_t{1} << 32), 3), "high halves of seeds");
  }
}

TEST(Dropout, IsTheSameInBfloat16) {
  const std::vector<RowPlace> places = {{4, 0}, {4, 1}};
  const DropoutMask mask = MakeDropoutMask(0.5, 9, 1);
  const at::Tensor x = Random({2, 200}, 11).to(at::kBFloat16);
  at::Tensor expected = at::empty({2, 200}), out = at::empty_like(x), sum = x.clone();
  Dropout(expected, x.to(at::kFloat), mask, places);
  Dropout(out, x, mask, places);
  EXPECT_TRUE(at::equal(out.to(at::kFloat), expected));
  Dropout(sum, x, mask, places, /*accumulate=*/true);
  EXPECT_LT(Error(sum.to(at::kFloat), x.to(at::kFloat) + expected), 1e-2);
}

TEST(Gemm, MatchesAtenForAllLayoutsAndOddShapes) {
  const int64_t shapes[][3] = {{1, 1, 1},      {8, 48, 8},     {13, 61, 7},
                               {130, 49, 331}, {257, 97, 640}, {2100, 50, 3}};
  for (const auto& [m, n, k] : shapes) {
    for (int layout = 0; layout < 4; ++layout) {
      const at::Tensor a = (layout & 1) != 0 ? Random({k, m}, 1).t() : Random({m, k}, 1);
      const at::Tensor b = (layout & 2) != 0 ? Random({n, k}, 2).t() : Random({k, n}, 2);
      at::Tensor wide = at::ones({m, n + 3});
      at::Tensor out = wide.narrow(1, 1, n);
      auto run = [&](bool accumulate, int threads) {
        Gemm({a.const_data_ptr<float>(), a.stride(0), a.stride(1)},
             {b.const_data_ptr<float>(), b.stride(0), b.stride(1)}, out.mutable_data_ptr<float>(),
             out.stride(0), m, n, k, accumulate, threads);
      };
      const at::Tensor expected = at::mm(a.to(at::kDouble), b.to(at::kDouble)).to(at::kFloat);
      run(true, 2);
      EXPECT_LT(Error(out, expected + 1), 1e-5) << m << " " << n << " " << k << " " << layout;
      run(false, 2);
      EXPECT_LT(Error(out, expected), 1e-5) << m << " " << n << " " << k << " " << layout;
      const at::Tensor two = out.clone();
      run(false, 1);
      EXPECT_TRUE(at::equal(two, out)) << "the number of threads changes the result";
      EXPECT_TRUE((wide.select(1, 0) == 1).all().item<bool>());
      EXPECT_TRUE((wide.narrow(1, n + 1, 2) == 1).all().item<bool>());
    }
  }
}

// Attention of one example by its definition, differentiable.
at::Tensor Reference(const at::Tensor& qkv, const std::vector<int64_t>& offsets,
                     const AttentionShape& shape) {
  std::vector<at::Tensor> outs;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t length = offsets[e + 1] - offsets[e];
    const at::Tensor rows =
        qkv.narrow(0, offsets[e], length).view({length, -1, shape.dim}).transpose(0, 1);
    const int64_t groups = shape.heads / shape.kv_heads;
    const at::Tensor q = rows.narrow(0, 0, shape.heads);
    const at::Tensor k = rows.narrow(0, shape.heads, shape.kv_heads).repeat_interleave(groups, 0);
    const at::Tensor v =
        rows.narrow(0, shape.heads + shape.kv_heads, shape.kv_heads).repeat_interleave(groups, 0);
    at::Tensor scores = at::bmm(q, k.transpose(1, 2)) * shape.Scale();
    if (shape.softcap > 0) scores = (scores / shape.softcap).tanh() * shape.softcap;
    const at::Tensor distance =
        at::arange(length).unsqueeze(1) - at::arange(length).unsqueeze(0);  // query - key
    at::Tensor hidden = shape.causal ? distance < 0 : distance != distance;
    if (shape.window > 0) hidden = hidden.logical_or(distance >= shape.window);
    outs.push_back(at::bmm(scores.masked_fill(hidden, -INFINITY).softmax(-1), v)
                       .transpose(0, 1)
                       .reshape({length, -1}));
  }
  return at::cat(outs);
}

TEST(Attention, MatchesItsDefinitionAndAutograd) {
  std::vector<AttentionShape> shapes = {{4, 2, 8}, {3, 3, 64}, {6, 1, 20}, {2, 1, 130}};
  for (const int64_t window : {1, 5, 16, 33, 49, 112, 500}) {
    shapes.push_back({.heads = 4, .kv_heads = 2, .dim = 8, .window = window});
  }
  shapes.push_back({.heads = 2, .kv_heads = 1, .dim = 20, .scale = 1.5, .softcap = 2});
  shapes.push_back(
      {.heads = 2, .kv_heads = 2, .dim = 8, .scale = 0.2, .window = 20, .softcap = 0.5});
  shapes.push_back({.heads = 4, .kv_heads = 2, .dim = 8, .causal = false});
  shapes.push_back({.heads = 2, .kv_heads = 1, .dim = 20, .softcap = 1, .causal = false});
  for (const AttentionShape& shape : shapes) {
    SCOPED_TRACE(testing::Message() << "dim " << shape.dim << ", window " << shape.window
                                    << ", cap " << shape.softcap << ", causal " << shape.causal);
    const std::vector<int64_t> offsets = {0, 1, 50, 50, 98, 210};
    at::Tensor qkv = Random({210, shape.row_size()}, 3).requires_grad_(true);
    const at::Tensor dout = Random({210, shape.heads * shape.dim}, 4);
    const at::Tensor expected = Reference(qkv, {0, 1, 50, 98, 210}, shape);
    expected.backward(dout);
    const Attended got = Attention(qkv.detach(), offsets, shape);
    EXPECT_LT(Error(got.out, expected.detach()), 1e-5);
    EXPECT_LT(Error(AttentionBackward(dout, qkv.detach(), got, offsets, shape), qkv.grad()), 1e-5);
  }
}

// Of every score by its definition: element N - 1 + key - query of its head's biases.
TEST(Attention, BiasesByDistanceMatchTheirDefinitionAndAutograd) {
  const std::vector<int64_t> offsets = {0, 1, 1, 24, 30};
  constexpr int64_t kLongest = 25;
  for (const bool causal : {false, true}) {
    SCOPED_TRACE(causal);
    const AttentionShape shape{.heads = 4, .kv_heads = 2, .dim = 6, .scale = 1, .causal = causal};
    const at::Tensor qkv = Random({30, shape.row_size()}, 3).requires_grad_(true);
    const at::Tensor bias = Random({4, 2 * kLongest - 1}, 8).requires_grad_(true);
    const at::Tensor dout = Random({30, 24}, 4);
    std::vector<at::Tensor> outs;
    for (size_t e = 0; e + 1 < offsets.size(); ++e) {
      const int64_t length = offsets[e + 1] - offsets[e];
      const at::Tensor heads =
          qkv.narrow(0, offsets[e], length).view({length, 8, 6}).transpose(0, 1);
      const at::Tensor k = heads.narrow(0, 4, 2).repeat_interleave(2, 0);
      const at::Tensor v = heads.narrow(0, 6, 2).repeat_interleave(2, 0);
      const at::Tensor after = at::arange(length).unsqueeze(0) - at::arange(length).unsqueeze(1);
      const at::Tensor biases = bias.index_select(1, (after + kLongest - 1).flatten());
      at::Tensor scores =
          at::bmm(heads.narrow(0, 0, 4), k.transpose(1, 2)) + biases.view({4, length, length});
      if (causal) scores = scores.masked_fill(after > 0, -INFINITY);
      outs.push_back(at::bmm(scores.softmax(-1), v).transpose(0, 1).reshape({length, 24}));
    }
    const at::Tensor expected = at::cat(outs);
    expected.backward(dout);
    const Attended got = Attention(qkv.detach(), offsets, shape, bias.detach());
    EXPECT_LT(Error(got.out, expected.detach()), 1e-5);
    const at::Tensor dbias = at::zeros_like(bias);
    const at::Tensor dqkv =
        AttentionBackward(dout, qkv.detach(), got, offsets, shape, bias.detach(), dbias);
    EXPECT_LT(Error(dqkv, qkv.grad()), 1e-5);
    EXPECT_LT(Error(dbias, bias.grad()), 1e-5);
  }
}

TEST(CrossAttention, MatchesItsDefinitionAndAutograd) {
  // An example without queries, and one with fewer queries than keys.
  const std::vector<int64_t> offsets = {0, 3, 3, 12}, sources = {0, 2, 7, 31};
  const AttentionShape shape{.heads = 4, .kv_heads = 2, .dim = 6, .causal = false};
  const at::Tensor q = Random({12, 24}, 3).requires_grad_(true);
  const at::Tensor kv = Random({31, 24}, 5).requires_grad_(true);
  const at::Tensor dout = Random({12, 24}, 4);
  std::vector<at::Tensor> outs;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t rows = offsets[e + 1] - offsets[e], keys = sources[e + 1] - sources[e];
    const at::Tensor queries = q.narrow(0, offsets[e], rows).view({rows, 4, 6}).transpose(0, 1);
    const at::Tensor heads = kv.narrow(0, sources[e], keys).view({keys, 4, 6}).transpose(0, 1);
    const at::Tensor k = heads.narrow(0, 0, 2).repeat_interleave(2, 0);
    const at::Tensor v = heads.narrow(0, 2, 2).repeat_interleave(2, 0);
    const at::Tensor scores = at::bmm(queries, k.transpose(1, 2)) * shape.Scale();
    outs.push_back(at::bmm(scores.softmax(-1), v).transpose(0, 1).reshape({rows, 24}));
  }
  const at::Tensor expected = at::cat(outs);
  expected.backward(dout);
  const Attended got = CrossAttention(q.detach(), kv.detach(), offsets, sources, shape);
  EXPECT_LT(Error(got.out, expected.detach()), 1e-5);
  const auto [dq, dkv] =
      CrossAttentionBackward(dout, q.detach(), kv.detach(), got, offsets, sources, shape);
  EXPECT_LT(Error(dq, q.grad()), 1e-5);
  EXPECT_LT(Error(dkv, kv.grad()), 1e-5);
  EXPECT_THROW(CrossAttention(q.detach(), kv.detach(), offsets, {{0, 0, 5, 31}}, shape),
               std::exception);
}

TEST(Attention, LaterTokensAndOtherExamplesChangeNothing) {
  const AttentionShape shape{4, 2, 16};
  at::Tensor qkv = Random({120, shape.row_size()}, 5);
  const at::Tensor before = Attention(qkv, {{0, 70, 120}}, shape).out;
  qkv.narrow(0, 60, 60).fill_(7);
  const at::Tensor after = Attention(qkv, {{0, 70, 120}}, shape).out;
  EXPECT_TRUE(at::equal(before.narrow(0, 0, 60), after.narrow(0, 0, 60)));
  EXPECT_FALSE(at::equal(before.narrow(0, 60, 60), after.narrow(0, 60, 60)));
}

TEST(LinearCrossEntropy, ChunksMatchTheWholeMatrix) {
  // A vocabulary that is wide enough for several chunks.
  const int64_t rows = 40, vocabulary = 700001;
  at::Tensor hidden = Random({rows, 4}, 6), weight = Random({vocabulary, 4}, 7);
  const at::Tensor targets = at::arange(rows, at::kLong) * 17001;
  at::Tensor wide_hidden = hidden.to(at::kDouble).requires_grad_(true);
  at::Tensor wide_weight = weight.to(at::kDouble).requires_grad_(true);
  const at::Tensor expected = at::nll_loss(at::log_softmax(at::mm(wide_hidden, wide_weight.t()), 1),
                                           targets, {}, at::Reduction::Sum);
  expected.backward();
  at::Tensor weight_gradient = at::empty({vocabulary, 4});
  const HeadLoss got = LinearCrossEntropy(
      hidden, weight, targets, {.hidden_gradient = true, .weight_gradient = weight_gradient});
  EXPECT_LT(Error(got.loss, expected.detach()), GemmIsFast() ? 1e-6 : 1e-5);
  // MKL, which lesser processors use, is less exact in sums of this length.
  EXPECT_LT(Error(got.hidden_gradient, wide_hidden.grad()), GemmIsFast() ? 1e-5 : 2e-3);
  EXPECT_LT(Error(weight_gradient, wide_weight.grad()), 1e-5);
}

}  // namespace
}  // namespace attune::engine::kernels
