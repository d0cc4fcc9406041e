#include "worker/engine/optim/penalty.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>

#include "worker/engine/parallel/pages.h"

namespace attune::engine {
namespace {

constexpr int64_t kChunk = 1 << 16;
constexpr int kLanes = 8;

// One parameter's values, side by side.
struct Place {
  const float* value;
  const float* start;
  const float* fisher;  // null: 1
  float* gradient;

  Place operator+(int64_t i) const {
    return {value + i, start + i, fisher == nullptr ? nullptr : fisher + i, gradient + i};
  }
};

// Adds strength * f (w - w0) to `count` gradients; returns the sum of f (w - w0)^2.
double AddChunk(const Place& place, float strength, int64_t count) {
  std::array<double, kLanes> lanes{};
  for (int64_t begin = 0; begin < count; begin += kLanes) {
    const int64_t width = std::min<int64_t>(kLanes, count - begin);
    for (int64_t lane = 0; lane < width; ++lane) {
      const int64_t i = begin + lane;
      const float difference = place.value[i] - place.start[i];
      const float pull = place.fisher == nullptr ? difference : place.fisher[i] * difference;
      place.gradient[i] += strength * pull;
      lanes[lane] += static_cast<double>(pull) * difference;
    }
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

double AddOnCpu(const Place& place, float strength, int64_t count) {
  const int64_t chunks = (count + kChunk - 1) / kChunk;
  std::vector<double> sums(chunks);
  at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const int64_t first = c * kChunk;
      sums[c] = AddChunk(place + first, strength, std::min(kChunk, count - first));
    }
  });
  double sum = 0;
  for (const double chunk : sums) sum += chunk;
  return sum;
}

// fisher: undefined for 1.
double AddOnDevice(const at::Tensor& parameter, const at::Tensor& start, const at::Tensor& fisher,
                   double strength) {
  const at::Tensor difference = parameter.detach() - start;
  const at::Tensor pull = fisher.defined() ? fisher * difference : difference;
  parameter.grad().add_(pull, strength);
  return (pull.to(at::kDouble) * difference).sum().item<double>();
}

}  // namespace

Penalty::Penalty(NamedTensors parameters, double strength, bool has_fisher)
    : parameters_(std::move(parameters)), strength_(strength) {
  for (const auto& [name, parameter] : parameters_) {
    ATTUNE_CHECK(parameter.is_contiguous() && parameter.scalar_type() == at::kFloat);
    start_.push_back(ZeroPages(parameter.sizes(), parameter));
    start_.back().copy_(parameter.detach());
    if (has_fisher) fisher_.push_back(ZeroPages(parameter.sizes(), parameter));
  }
}

double Penalty::AddGradient() const {
  at::NoGradGuard no_grad;
  double sum = 0;
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const at::Tensor& parameter = parameters_[p].second;
    const at::Tensor& gradient = parameter.grad();
    ATTUNE_CHECK(gradient.defined() && gradient.is_contiguous());
    const at::Tensor fisher = fisher_.empty() ? at::Tensor() : fisher_[p];
    if (!parameter.is_cpu()) {
      sum += AddOnDevice(parameter, start_[p], fisher, strength_);
      continue;
    }
    const Place place{parameter.const_data_ptr<float>(), start_[p].const_data_ptr<float>(),
                      fisher.defined() ? fisher.const_data_ptr<float>() : nullptr,
                      gradient.mutable_data_ptr<float>()};
    sum += AddOnCpu(place, static_cast<float>(strength_), parameter.numel());
  }
  return strength_ / 2 * sum;
}

NamedTensors Penalty::Fisher() const {
  NamedTensors named;
  for (size_t p = 0; p < fisher_.size(); ++p) {
    named.emplace_back("fisher." + parameters_[p].first, fisher_[p]);
  }
  return named;
}

}  // namespace attune::engine
