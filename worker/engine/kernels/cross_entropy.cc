#include "worker/engine/kernels/cross_entropy.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "worker/engine/kernels/cpu_kernels.h"
#include "worker/engine/kernels/matmul.h"
#include "worker/engine/kernels/parallel.h"
#include "worker/engine/kernels/pointwise_gpu.h"

namespace attune::engine::kernels {
namespace {

constexpr int64_t kChunkElements = int64_t{14} << 20;  // 56 MB of float32 logits
// On a GPU a chunk reads the whole weight, so that few rows would cost as much as many.
constexpr int64_t kGpuChunkElements = int64_t{128} << 20;

at::Tensor ChunkLossOnGpu(const at::Tensor& logits, const at::Tensor& targets, bool gradient) {
  const at::Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  Gpu()->cross_entropy(gpu::CallFor(logits), logits.mutable_data_ptr(),
                       targets.const_data_ptr<int64_t>(), losses.mutable_data_ptr<float>(),
                       logits.size(0), logits.size(1), gradient);
  return losses;
}

// Turns logits into their gradient where asked; returns the losses, of 32 bits or more.
at::Tensor ChunkLoss(at::Tensor& logits, const at::Tensor& targets, bool gradient) {
  if (gpu::Takes(logits)) return ChunkLossOnGpu(logits, targets, gradient);
  const int64_t rows = logits.size(0), cols = logits.size(1);
  if (!logits.device().is_cpu() || UseAtenOnly()) {
    const at::Tensor log_probability = at::log_softmax(logits, 1, at::kFloat);
    const at::Tensor index = targets.unsqueeze(1);
    const at::Tensor losses = -log_probability.gather(1, index).squeeze(1);
    if (gradient) {
      logits = log_probability.exp();
      logits.scatter_add_(1, index, at::full_like(index, -1, logits.options()));
    }
    return losses;
  }
  if (logits.scalar_type() != at::kFloat) logits = logits.to(at::kFloat);
  const at::Tensor all = at::empty({rows}, at::kDouble);
  double* losses = all.mutable_data_ptr<double>();
  float* data = logits.mutable_data_ptr<float>();
  const int64_t* target = targets.const_data_ptr<int64_t>();
  ParallelRows(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      losses[i] = Cpu().cross_entropy(data + i * cols, cols, target[i], gradient);
    }
  });
  return all;
}

// In the order of the rows on the host, as ever.
at::Tensor SumOf(const at::Tensor& losses) {
  if (!losses.is_cpu() || losses.scalar_type() != at::kDouble) return losses.sum(at::kDouble);
  const double* data = losses.const_data_ptr<double>();
  double sum = 0;
  for (int64_t i = 0; i < losses.numel(); ++i) sum += data[i];
  return at::scalar_tensor(sum, at::kDouble);
}

}  // namespace

int64_t LogitRows(int64_t rows, int64_t vocabulary, const at::Device& device) {
  const int64_t elements = device.is_cpu() ? kChunkElements : kGpuChunkElements;
  const int64_t most = std::max<int64_t>(elements / vocabulary, 16);
  const int64_t chunks = std::max<int64_t>((rows + most - 1) / most, 1);
  return (rows + chunks - 1) / chunks;
}

at::Tensor CapLogits(const at::Tensor& logits, double cap) {
  return cap == 0 ? logits : logits.to(at::kFloat).div_(cap).tanh_().mul_(cap);
}

HeadLoss LinearCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight,
                            const at::Tensor& targets, const HeadOptions& options) {
  const int64_t rows = hidden.size(0), vocabulary = weight.size(0);
  const int64_t chunk = LogitRows(rows, vocabulary, hidden.device());  // their buffer is reused
  const at::Tensor &by_weight = options.weight_gradient, &by_bias = options.bias_gradient;
  const bool gradient = options.hidden_gradient || by_weight.defined() || by_bias.defined();
  HeadLoss result;
  if (options.hidden_gradient) result.hidden_gradient = at::empty_like(hidden);
  at::Tensor total = at::zeros({}, hidden.options().dtype(at::kDouble));
  if (rows == 0 && by_weight.defined()) by_weight.zero_();
  if (by_bias.defined()) by_bias.zero_();
  const at::Tensor buffer = at::empty({chunk, vocabulary}, hidden.options());
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = std::min(chunk, rows - begin);
    const at::Tensor part = hidden.narrow(0, begin, count);
    at::Tensor logits = buffer.narrow(0, 0, count);
    MatMul(logits, part, weight.t());
    if (options.bias.defined()) logits = logits.to(at::kFloat).add_(options.bias);
    at::Tensor slope;  // of the cap
    if (options.softcap > 0) {
      logits = CapLogits(logits, options.softcap);
      if (gradient) slope = 1 - (logits / options.softcap).square_();
    }
    at::Tensor losses = ChunkLoss(logits, targets.narrow(0, begin, count), gradient);
    at::Tensor weights;
    if (options.weights.defined()) {
      weights = options.weights.narrow(0, begin, count);
      losses = losses * weights;
    }
    total.add_(SumOf(losses));
    if (!gradient) continue;
    if (weights.defined()) logits.mul_(weights.unsqueeze(1));
    if (slope.defined()) logits.mul_(slope);
    if (by_bias.defined()) by_bias.add_(logits.sum(0, /*keepdim=*/false, at::kFloat));
    logits = logits.to(hidden.scalar_type());
    if (by_weight.defined()) {
      MatMulToFloat(by_weight, logits.t(), part, /*accumulate=*/begin > 0);
    }
    if (options.hidden_gradient) {
      MatMul(result.hidden_gradient.narrow(0, begin, count), logits, weight);
    }
  }
  result.loss = total.to(at::kFloat);
  return result;
}

}  // namespace attune::engine::kernels
