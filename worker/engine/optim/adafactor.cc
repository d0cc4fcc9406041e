#include "worker/engine/optim/adafactor.h"

#include <ATen/ATen.h>

#include <cmath>

#include "worker/engine/optim/gradient_norm.h"
#include "worker/engine/parallel/pages.h"

namespace attune::engine {
namespace {

constexpr double kDecayRate = -0.8, kLeastSquare = 1e-30, kClipThreshold = 1;

// What takes a direction's root mean square down to the threshold.
at::Tensor Clipping(const at::Tensor& direction) {
  const double root = std::sqrt(static_cast<double>(direction.numel()));
  const at::Tensor norm = direction.is_cpu()
                              ? at::scalar_tensor(Norm(direction), direction.options())
                              : direction.norm();
  return (norm / (root * kClipThreshold)).clamp_min_(1.0);
}

}  // namespace

Adafactor::Adafactor(NamedTensors parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const auto& [name, parameter] : parameters_) {
    if (parameter.dim() < 2) {
      moments_.push_back({.whole = ZeroPages(parameter.sizes(), parameter)});
      continue;
    }
    std::vector<int64_t> row = parameter.sizes().vec(), column = row;
    row.pop_back();
    column.erase(column.end() - 2);
    moments_.push_back({.row = ZeroPages(row, parameter), .column = ZeroPages(column, parameter)});
  }
}

at::Tensor Adafactor::Direction(const Moment& moment, const at::Tensor& gradient, double keep) {
  const at::Tensor square = gradient.square().add_(kLeastSquare);
  if (moment.whole.defined()) {
    at::Tensor whole = moment.whole;
    whole.mul_(keep).add_(square, 1 - keep);
    return whole.rsqrt().mul_(gradient);
  }
  at::Tensor row = moment.row, column = moment.column;
  row.mul_(keep).add_(square.mean(-1), 1 - keep);
  column.mul_(keep).add_(square.mean(-2), 1 - keep);
  const at::Tensor by_row = (row / row.mean(-1, /*keepdim=*/true)).rsqrt_().unsqueeze(-1);
  return at::mul(by_row, column.unsqueeze(-2).rsqrt()).mul_(gradient);
}

void Adafactor::Step(int step, double learning_rate, double gradient_factor) {
  at::NoGradGuard no_grad;
  const double keep = 1 - std::pow(step, kDecayRate);
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const auto& [name, named] = parameters_[p];
    const at::Tensor parameter = named.detach();
    at::Tensor direction = Direction(moments_[p], GradientOf(named) * gradient_factor, keep);
    direction.div_(Clipping(direction));
    parameter.add_(parameter, -learning_rate * WeightDecayOf(name, options_));
    parameter.add_(direction, -learning_rate);
  }
}

NamedTensors Adafactor::State() const {
  NamedTensors state;
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const std::string& name = parameters_[p].first;
    const Moment& moment = moments_[p];
    if (moment.whole.defined()) {
      state.emplace_back("exp_avg_sq." + name, moment.whole);
    } else {
      state.emplace_back("exp_avg_sq_row." + name, moment.row);
      state.emplace_back("exp_avg_sq_col." + name, moment.column);
    }
  }
  return state;
}

}  // namespace attune::engine
