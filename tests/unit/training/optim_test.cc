#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

#include "worker/engine/kernels/blockwise.h"
#include "worker/engine/optim/adamw_8bit.h"
#include "worker/engine/optim/gradient_norm.h"
#include "worker/engine/optim/owners.h"
#include "worker/engine/optim/schedule.h"
#include "worker/engine/optim/state_bytes.h"
#include "worker/engine/optim/state_code.h"
#include "worker/engine/optim/weight_average.h"

namespace attune::engine {
namespace {

// Factors of transformers 5.24.0 get_scheduler(name, warmup 3, total 10) for the updates 0, 1,
// ... 9.
TEST(ScheduleFactor, EqualsTransformers) {
  const std::vector<std::pair<std::string, std::vector<double>>> expected = {
      {"linear",
       {0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 0.8571428571428571, 0.7142857142857143,
        0.5714285714285714, 0.42857142857142855, 0.2857142857142857, 0.14285714285714285}},
      {"cosine",
       {0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 0.9504844339512095, 0.8117449009293668,
        0.6112604669781572, 0.38873953302184283, 0.18825509907063326, 0.04951556604879048}},
      {"constant",
       {0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0}}};
  for (const auto& [name, factors] : expected) {
    const OptimizerOptions options{.schedule = name, .warmup_steps = 3};
    for (int step = 0; step < static_cast<int>(factors.size()); ++step) {
      EXPECT_NEAR(*ScheduleFactor(options, step, 10), factors[step], 1e-12) << name << " " << step;
    }
  }
}

TEST(ScheduleFactor, WithoutWarmupStartsAtOneAndWithOnlyWarmupDividesByNothing) {
  EXPECT_EQ(*ScheduleFactor({.schedule = "cosine"}, 0, 5), 1.0);
  EXPECT_EQ(*ScheduleFactor({.schedule = "linear", .warmup_steps = 5}, 5, 5), 0.0);
  EXPECT_EQ(*ScheduleFactor({.schedule = "cosine", .warmup_steps = 8}, 3, 5), 3.0 / 8);
}

TEST(ScheduleFactor, RefusesAnUnknownName) {
  const auto factor = ScheduleFactor({.schedule = "cosin"}, 0, 5);
  EXPECT_EQ(factor.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(factor.status().field(), "optimizer.schedule");
}

TEST(GradientNorm, IsTheNormOfAllGradientsAsOneVector) {
  at::Tensor a = at::zeros({3, 70000}).requires_grad_(), b = at::zeros({5}).requires_grad_();
  const at::Tensor none = at::zeros({7}).requires_grad_();
  a.mutable_grad() = at::linspace(-1, 1, 210000).view({3, 70000});
  b.mutable_grad() = at::full({5}, 3.0);
  const at::Tensor all = at::cat({a.grad().flatten(), b.grad()}).to(at::kDouble);
  EXPECT_NEAR(GradientNorm({a, b, none}), all.norm().item<double>(), 1e-9);
}

TEST(GradientNorm, HasTheSameBitsForAnyNumberOfThreads) {
  at::Tensor a = at::zeros({300001}).requires_grad_();
  a.mutable_grad() = at::sin(at::arange(300001, at::kFloat));
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const double one = GradientNorm({a});
  at::set_num_threads(2);
  EXPECT_EQ(GradientNorm({a}), one);
  at::set_num_threads(threads);
}

TEST(ClipFactor, FollowsTorch) {
  EXPECT_EQ(ClipFactor(0.5, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(ClipFactor(4.0, 1.0), 1.0 / (4.0 + 1e-6));
  EXPECT_EQ(ClipFactor(1e9, 0), 1.0);
}

// torch.optim.AdamW written out in double precision.
struct Reference {
  at::Tensor p, m, v;
  void Step(const OptimizerOptions& o, int step, double lr, const at::Tensor& g) {
    p = p * (1 - lr * o.weight_decay);
    m = m * o.beta1 + g * (1 - o.beta1);
    v = v * o.beta2 + g * g * (1 - o.beta2);
    const double c1 = 1 - std::pow(o.beta1, step), c2 = 1 - std::pow(o.beta2, step);
    p = p - lr / c1 * m / (v.sqrt() / std::sqrt(c2) + o.epsilon);
  }
};

TEST(AdamW, FollowsTheFormulaOverManySteps) {
  const OptimizerOptions options{.weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.95};
  at::Tensor parameter = at::linspace(-1, 1, 70001).requires_grad_();
  AdamW optimizer({{"p", parameter}}, options);
  Reference reference{parameter.detach().to(at::kDouble), at::zeros({70001}, at::kDouble),
                      at::zeros({70001}, at::kDouble)};
  for (int step = 1; step <= 25; ++step) {
    const at::Tensor gradient = at::cos(at::arange(70001, at::kFloat) * step);
    const double lr = 1e-2 / step;
    reference.Step(options, step, lr, gradient.to(at::kDouble) * 0.5);
    parameter.mutable_grad() = gradient;  // an update may scale it in place
    optimizer.Step(step, lr, 0.5);
  }
  EXPECT_LT((parameter.detach().to(at::kDouble) - reference.p).abs().max().item<double>(), 1e-6);
}

// Numbers of torch.optim.AdamW (torch 2.11.0, float32): parameter 0.1 x (0..7), gradient sin(step x
// (1..8)).
TEST(AdamW, EqualsTorch) {
  const OptimizerOptions options{.weight_decay = 0.01};
  at::Tensor parameter = (at::arange(8, at::kFloat) * 0.1).requires_grad_();
  AdamW optimizer({{"p", parameter}}, options);
  for (int step = 1; step <= 20; ++step) {
    parameter.mutable_grad() = at::sin((at::arange(8, at::kFloat) + 1) * step);
    optimizer.Step(step, 1e-2, 1.0);
  }
  const std::vector<float> expected = {-0.036064301f, 0.084344141f, 0.190595150f, 0.312712908f,
                                       0.426860005f,  0.605614543f, 0.549603045f, 0.678407431f};
  for (int i = 0; i < 8; ++i) EXPECT_NEAR(parameter[i].item<float>(), expected[i], 1e-6) << i;
}

// Names of transformers 5's Trainer.get_decay_parameter_names for a Llama with biases, and of LoRA.
TEST(AdamW, DecaysWhatTheTrainerDecays) {
  for (const char* name :
       {"model.embed_tokens.weight", "lm_head.weight", "model.layers.0.self_attn.q_proj.weight",
        "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight", "normal.weight"}) {
    EXPECT_TRUE(Decays(name)) << name;
  }
  for (const char* name :
       {"model.norm.weight", "norm.weight", "model.layers.0.input_layernorm.weight",
        "model.layers.0.post_attention_layernorm.weight", "model.layers.0.self_attn.q_norm.weight",
        "model.layers.0.self_attn.q_proj.bias", "transformer.h.0.ln_1.weight",
        "encoder.LayerNorm.weight"}) {
    EXPECT_FALSE(Decays(name)) << name;
  }
}

// A gradient of zero leaves only the decay.
TEST(AdamW, LeavesNormsAndBiasesOutOfTheDecay) {
  at::Tensor weight = at::ones({4}).requires_grad_(), norm = at::ones({4}).requires_grad_(),
             bias = at::ones({4}).requires_grad_();
  AdamW optimizer({{"q_proj.weight", weight}, {"model.norm.weight", norm}, {"q_proj.bias", bias}},
                  {.weight_decay = 0.5});
  optimizer.Step(1, 0.1, 1.0);
  EXPECT_FLOAT_EQ(weight[0].item<float>(), 0.95f);
  EXPECT_EQ(norm[0].item<float>(), 1.0f);
  EXPECT_EQ(bias[0].item<float>(), 1.0f);
}

// The parameters after updates with gradients that are functions of the step.
NamedTensors AfterSteps(const OptimizerOptions& options, int steps, double factor = 1) {
  NamedTensors parameters = {
      {"a.weight", at::linspace(-1, 1, 60 * 100).view({60, 100}).clone().requires_grad_()},
      {"b.weight", at::linspace(-2, 1, 7 * 5).view({7, 5}).clone().requires_grad_()},
      {"norm.weight", at::ones({33}).requires_grad_()}};
  const auto optimizer = MakeOptimizer(parameters, options);
  for (int step = 1; step <= steps; ++step) {
    for (auto& [name, parameter] : parameters) {
      const at::Tensor places = at::arange(parameter.numel(), at::kFloat).view(parameter.sizes());
      parameter.mutable_grad() = at::cos(places * step) + 0.01;
    }
    optimizer->Step(step, 1e-2 / step, factor);
  }
  return parameters;
}

class OptimizerTest : public ::testing::TestWithParam<std::string> {
 protected:
  OptimizerOptions Options() const {
    return {.name = GetParam(), .weight_decay = 0.1, .beta2 = 0.99, .momentum = 0.9};
  }
};

TEST_P(OptimizerTest, HasTheSameBitsForAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const NamedTensors one = AfterSteps(Options(), 5);
  at::set_num_threads(3);
  const NamedTensors three = AfterSteps(Options(), 5);
  at::set_num_threads(threads);
  for (size_t p = 0; p < one.size(); ++p) {
    EXPECT_TRUE(at::equal(one[p].second, three[p].second)) << one[p].first;
  }
}

TEST_P(OptimizerTest, AGradientFactorIsAFactorOfTheGradients) {
  const NamedTensors halves = AfterSteps(Options(), 3, 0.5), wholes = AfterSteps(Options(), 3);
  EXPECT_FALSE(at::equal(halves[0].second, at::linspace(-1, 1, 6000).view({60, 100})));
  // Lion takes signs only, and the others divide by what the factor is in too; not so SGD.
  const double difference = (halves[2].second - wholes[2].second).abs().max().item<double>();
  if (GetParam() == "sgd") EXPECT_GT(difference, 1e-3);
  if (GetParam() != "sgd") EXPECT_LT(difference, 1e-5);
}

TEST_P(OptimizerTest, TheStatesAreAsLargeAsPredicted) {
  NamedTensors parameters;
  int64_t predicted = 0, bytes = 0;
  for (const auto& shape : {std::vector<int64_t>{60, 100}, {7, 5}, {33}, {5000}, {4096}}) {
    parameters.emplace_back(std::to_string(shape[0]) + ".weight", at::ones(shape));
    predicted += StateBytes(Options(), shape);
  }
  for (const auto& [name, state] : MakeOptimizer(parameters, Options())->State()) {
    bytes += static_cast<int64_t>(state.nbytes());
  }
  EXPECT_EQ(bytes, predicted);
  EXPECT_GT(bytes, 0);
}

// Two steps, then two more by an optimizer that was given the state.
TEST_P(OptimizerTest, TheStateIsAllThatAnUpdateDependsOn) {
  const at::Tensor start = at::linspace(-1, 1, 6000).view({60, 100});
  auto step = [](Optimizer& optimizer, at::Tensor& weight, int number) {
    weight.mutable_grad() = at::sin(at::arange(6000, at::kFloat).view({60, 100}) * number);
    optimizer.Step(number, 1e-2, 1);
  };
  at::Tensor straight = start.clone().requires_grad_();
  const auto optimizer = MakeOptimizer({{"w", straight}}, Options());
  step(*optimizer, straight, 1);
  step(*optimizer, straight, 2);
  at::Tensor resumed = straight.detach().clone().requires_grad_();
  const auto other = MakeOptimizer({{"w", resumed}}, Options());
  const NamedTensors from = optimizer->State(), to = other->State();
  for (size_t i = 0; i < from.size(); ++i) to[i].second.detach().copy_(from[i].second);
  for (const int number : {3, 4}) {
    step(*optimizer, straight, number);
    step(*other, resumed, number);
  }
  EXPECT_TRUE(at::equal(straight, resumed));
}

TEST_P(OptimizerTest, NormsDoNotDecayAndAMissingGradientIsZero) {
  at::Tensor weight = at::ones({70, 70}).requires_grad_(), norm = at::ones({4}).requires_grad_();
  OptimizerOptions options = Options();
  options.weight_decay = 0.5;
  MakeOptimizer({{"q.weight", weight}, {"model.norm.weight", norm}}, options)->Step(1, 0.1, 1);
  EXPECT_FLOAT_EQ(weight[0][0].item<float>(), 0.95f);
  EXPECT_EQ(norm[0].item<float>(), 1.0f);
}

INSTANTIATE_TEST_SUITE_P(Optimizers, OptimizerTest,
                         ::testing::Values("adamw", "adamw-8bit", "adafactor", "sgd", "lion"));

// Numbers that make every code's bounds matter.
TEST(StateCode, IsTheNearestCodeAsTheTensorCodeHasIt) {
  for (const bool is_signed : {true, false}) {
    const std::array<float, 256>& map = kernels::DynamicMap(is_signed);
    const at::Tensor codes_map = at::tensor(at::ArrayRef<float>(map.data(), map.size()));
    const at::Tensor bounds = kernels::CodeBounds(codes_map);
    at::Tensor numbers = at::cat({codes_map, bounds, at::nextafter(bounds, at::ones({255})),
                                  at::nextafter(bounds, -at::ones({255})), at::zeros({3}),
                                  at::logspace(-9, 0, 1500), at::full({1}, 1e-42)});
    if (is_signed) numbers = at::cat({numbers, -numbers});
    numbers = numbers.contiguous();
    const StateCode code(map);
    const int64_t count = numbers.numel(), block = StateCode::kBlock;
    const kernels::Blockwise expected = kernels::Quantize(numbers, block, bounds);
    std::vector<uint8_t> codes(count);
    std::vector<float> back(count);
    for (int64_t at = 0; at < count; at += block) {
      const int64_t size = std::min(block, count - at);
      const float scale =
          code.Encode(numbers.const_data_ptr<float>() + at, codes.data() + at, size);
      EXPECT_EQ(scale, expected.scales[at / block].item<float>());
      code.Decode(codes.data() + at, scale, back.data() + at, size);
    }
    const at::Tensor decoded =
        kernels::Dequantize(expected.codes, expected.scales, block, codes_map);
    for (int64_t i = 0; i < count; ++i) {
      ASSERT_EQ(codes[i], expected.codes[i].item<int>()) << numbers[i].item<float>();
      ASSERT_EQ(back[i], decoded[i].item<float>());
    }
  }
}

// The codes' coarseness is what keeps this from being AdamW.
TEST(AdamW8Bit, StaysNearAdamWAndKeepsSmallTensorsInFloat32) {
  const NamedTensors coarse = AfterSteps({.name = "adamw-8bit"}, 20),
                     fine = AfterSteps({.name = "adamw"}, 20);
  const double moved =
      (fine[0].second - at::linspace(-1, 1, 6000).view({60, 100})).abs().mean().item<double>();
  const double apart = (fine[0].second - coarse[0].second).abs().mean().item<double>();
  EXPECT_GT(apart, 0);
  EXPECT_LT(apart, 0.05 * moved);
  EXPECT_TRUE(at::equal(fine[1].second, coarse[1].second));
}

// Numbers of torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(0.9) (torch 2.11.0).
TEST(WeightAverage, EqualsTorchAndSwapsBackBitByBit) {
  at::Tensor weight = at::ones({4}).requires_grad_();
  WeightAverage average({{"w", weight}}, 0.9);
  EXPECT_TRUE(at::equal(average.Values()[0].second, weight)) << "before the first update";
  for (int step = 1; step <= 20; ++step) {
    weight.detach().copy_(at::sin((at::arange(4, at::kFloat) + 1) * step));
    average.Update(step);
  }
  const at::Tensor before = weight.detach().clone();
  const std::vector<float> expected = {0.132397726f, 0.175787136f, 0.004907705f, -0.150155649f};
  average.Swap();
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(weight[i].item<float>(), expected[i], 1e-6) << i;
  average.Swap();
  EXPECT_TRUE(at::equal(weight, before));
  EXPECT_EQ(average.State()[0].first, "ema.w");
}

TEST(AssignOwners, DealsTheLargestFirstToWhoeverHasLeast) {
  const OptimizerOptions adamw;
  EXPECT_EQ(AssignOwners(adamw, {{10}, {50}, {40}, {20}}, 2), (std::vector<int>{0, 0, 1, 1}));
  EXPECT_EQ(AssignOwners(adamw, {{1}}, 3), std::vector<int>{0});
  EXPECT_EQ(AssignOwners(adamw, {}, 2), std::vector<int>{});
  // What keeps no state is updated by all, too.
  const OptimizerOptions sgd{.name = "sgd"};
  EXPECT_EQ(AssignOwners(sgd, {{8}, {8}, {8}}, 3), (std::vector<int>{0, 1, 2}));
}

TEST(CheckOptimizerName, NamesTheField) {
  EXPECT_TRUE(CheckOptimizerName("lion").ok());
  EXPECT_EQ(CheckOptimizerName("adam").field(), "optimizer.name");
}

}  // namespace
}  // namespace attune::engine
