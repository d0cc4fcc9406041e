#include "worker/engine/optim/gradient_norm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace attune::engine {
namespace {

constexpr int64_t kChunk = 1 << 16;
constexpr int kLanes = 8;

double SumOfSquares(const float* data, int64_t size) {
  std::array<double, kLanes> lanes{};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double value = data[i + lane];
      lanes[lane] += value * value;
    }
  }
  for (; i < size; ++i) lanes[0] += static_cast<double>(data[i]) * data[i];
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

double SumOfSquares(const at::Tensor& gradient) {
  const at::Tensor contiguous = gradient.contiguous();
  const float* data = contiguous.const_data_ptr<float>();
  const int64_t size = contiguous.numel();
  const int64_t chunks = (size + kChunk - 1) / kChunk;
  std::vector<double> sums(chunks);
  at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      sums[c] = SumOfSquares(data + c * kChunk, std::min(kChunk, size - c * kChunk));
    }
  });
  double sum = 0;
  for (const double chunk : sums) sum += chunk;
  return sum;
}

// The host waits once, not for each.
double NormOnDevice(const std::vector<at::Tensor>& gradients) {
  const std::vector<at::Tensor> norms = at::_foreach_norm(gradients, 2, at::kDouble);
  return at::stack(norms).norm().item<double>();
}

}  // namespace

double GradientNorm(const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : parameters) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  if (gradients.empty()) return 0;
  if (!gradients.front().is_cpu()) return NormOnDevice(gradients);
  double sum = 0;
  for (const at::Tensor& gradient : gradients) sum += SumOfSquares(gradient);
  return std::sqrt(sum);
}

double Norm(const at::Tensor& tensor) {
  return std::sqrt(SumOfSquares(tensor));
}

double ClipFactor(double norm, double clip_norm) {
  if (clip_norm <= 0) return 1.0;
  return std::min(1.0, clip_norm / (norm + 1e-6));
}

}  // namespace attune::engine
