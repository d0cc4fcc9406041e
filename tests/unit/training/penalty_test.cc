#include "worker/engine/optim/penalty.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"
#include "tests/unit/training/step_run.h"

namespace attune::engine {
namespace {

using testing::RunSteps;
using testing::StepInput;
using testing::StepRun;

NamedTensors Parameters(int64_t size, uint64_t seed) {
  NamedTensors parameters = {{"a", at::empty({size})}, {"b", at::empty({3, 5})}};
  testing::FillRandom(parameters, seed, -1, 1);
  for (auto& [name, tensor] : parameters) tensor.requires_grad_();
  return parameters;
}

void Move(const NamedTensors& parameters, uint64_t seed) {
  at::NoGradGuard no_grad;
  NamedTensors values;
  for (const auto& [name, tensor] : parameters) values.emplace_back(name, tensor.detach());
  testing::FillRandom(values, seed, -1, 1);
}

// Against autograd, with gradients that are there already.
TEST(Penalty, IsWhatAutogradMakesOfTheFormula) {
  for (const bool ewc : {false, true}) {
    const NamedTensors parameters =
        Parameters(200'003, 1);  // more than a chunk, and no whole lanes
    std::vector<at::Tensor> start, fisher;
    for (const auto& [name, tensor] : parameters) start.push_back(tensor.detach().clone());
    const Penalty penalty(parameters, 0.7, ewc);
    testing::FillRandom(penalty.Fisher(), 2, 0, 3);
    Move(parameters, 3);
    at::Tensor expected = at::zeros({}, at::kDouble);
    for (size_t p = 0; p < parameters.size(); ++p) {
      const at::Tensor& tensor = parameters[p].second;
      at::Tensor square = (tensor - start[p]).square();
      if (ewc) square = square * penalty.Fisher()[p].second;
      expected = expected + 0.35 * square.to(at::kDouble).sum() + tensor.sum();  // and a loss
      at::Tensor(tensor).mutable_grad() = at::ones_like(tensor);
    }
    double sums = 0;
    for (const auto& [name, tensor] : parameters)
      sums += tensor.to(at::kDouble).sum().item<double>();
    const double value = penalty.AddGradient();
    EXPECT_NEAR(value, expected.item<double>() - sums, 1e-3);
    std::vector<at::Tensor> mine;
    for (const auto& [name, tensor] : parameters) {
      mine.push_back(tensor.grad().clone());
      at::Tensor(tensor).mutable_grad().reset();
    }
    expected.backward();
    for (size_t p = 0; p < parameters.size(); ++p) {
      EXPECT_TRUE(at::allclose(mine[p], parameters[p].second.grad(), 1e-5, 1e-6))
          << ewc << " " << p;
    }
  }
}

TEST(Penalty, HasTheSameBitsForAnyNumberOfThreads) {
  const NamedTensors parameters = Parameters(500'000, 1);
  const Penalty penalty(parameters, 0.7, /*has_fisher=*/true);
  testing::FillRandom(penalty.Fisher(), 2, 0, 3);
  Move(parameters, 3);
  std::vector<double> values;
  const int threads = at::get_num_threads();
  for (const int count : {1, 2, 5}) {
    at::set_num_threads(count);
    for (const auto& [name, tensor] : parameters) {
      at::Tensor(tensor).mutable_grad() = at::zeros_like(tensor);
    }
    values.push_back(penalty.AddGradient());
  }
  at::set_num_threads(threads);
  EXPECT_EQ(values[0], values[1]);
  EXPECT_EQ(values[0], values[2]);
}

class RegularizeTest : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  void SetUp() override {
    const auto& [method, type] = GetParam();
    testing::WriteTinyLlama(folder_.path(), {}, 3);
    input_.model = {.reference = "tiny@1", .path = folder_.path(), .format = "huggingface"};
    input_.shard = testing::RandomExamples(50, 9, 97);
    TrainTask& task = input_.task;
    task.method = {.type = method, .rank = 4, .alpha = 8};
    task.data.train = {.epochs = 20, .sequence_length = 48, .global_batch = 8, .seed = 5};
    task.optimizer = {.learning_rate = 2e-3};
    task.regularize = {
        .type = type, .strength = type == "ewc" ? 100.0 : 0.3, .fisher_examples = 23};
  }
  StepRun Run(int ranks, int micro_batch, bool packing = true) {
    input_.task.data.train.micro_batch = micro_batch;
    input_.task.data.train.packing = packing;
    return RunSteps(input_, ranks, 15);
  }

  TemporaryFolder folder_;
  StepInput input_;
};

TEST_P(RegularizeTest, DoesNotDependOnRanksAndAccumulation) {
  const StepRun one = Run(1, 8);
  EXPECT_EQ(*one.reports[0].penalty, 0) << "training starts at w0";
  EXPECT_GT(*one.reports[14].penalty, 1e-4);
  for (const auto& [ranks, micro_batch] : {std::pair(1, 1), std::pair(2, 4), std::pair(3, 2)}) {
    const StepRun other = Run(ranks, micro_batch);
    for (size_t i = 0; i < one.reports.size(); ++i) {
      EXPECT_NEAR(other.reports[i].loss, one.reports[i].loss, 5e-5) << ranks << " step " << i + 1;
      EXPECT_NEAR(*other.reports[i].penalty, *one.reports[i].penalty,
                  1e-6 + 1e-3 * *one.reports[i].penalty);
    }
    for (size_t p = 0; p < one.fisher.size(); ++p) {
      const at::Tensor& fisher = one.fisher[p].second;
      EXPECT_TRUE(at::allclose(other.fisher[p].second, fisher, 1e-3, 1e-7)) << one.fisher[p].first;
      EXPECT_GE(fisher.min().item<float>(), 0);
    }
  }
}

TEST_P(RegularizeTest, HoldsTheWeightsAndTheReportedLossIsTheDatas) {
  const StepRun held = Run(1, 8);
  input_.task.regularize.strength *= 100;
  const StepRun firmly = Run(1, 8);
  input_.task.regularize = {};
  const StepRun freely = Run(1, 8);
  EXPECT_FALSE(freely.reports[0].penalty.has_value());
  EXPECT_EQ(held.reports[0].loss, freely.reports[0].loss);
  EXPECT_GT(held.reports[14].loss, freely.reports[14].loss + 1e-3);
  EXPECT_GT(firmly.reports[14].loss, held.reports[14].loss + 1e-3);
}

INSTANTIATE_TEST_SUITE_P(All, RegularizeTest,
                         ::testing::Combine(::testing::Values("full", "lora"),
                                            ::testing::Values("l2-sp", "ewc")));

}  // namespace
}  // namespace attune::engine
