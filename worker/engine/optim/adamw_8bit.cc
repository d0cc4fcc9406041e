#include "worker/engine/optim/adamw_8bit.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>

#include "worker/engine/kernels/blockwise.h"
#include "worker/engine/parallel/pages.h"

namespace attune::engine {
namespace {

constexpr int64_t kBlock = StateCode::kBlock;

}  // namespace

AdamW8Bit::AdamW8Bit(NamedTensors parameters, const OptimizerOptions& options) : options_(options) {
  NamedTensors small;
  for (auto& named : parameters) {
    (named.second.numel() < kElementsMin ? small : parameters_).push_back(std::move(named));
  }
  small_ = std::make_unique<AdamW>(std::move(small), options);
  first_ = std::make_unique<Moment>(MakeMoment(/*is_signed=*/true));
  second_ = std::make_unique<Moment>(MakeMoment(/*is_signed=*/false));
}

AdamW8Bit::Moment AdamW8Bit::MakeMoment(bool is_signed) const {
  const std::array<float, 256>& map = kernels::DynamicMap(is_signed);
  Moment moment{.code = StateCode(map)};
  for (const auto& [name, parameter] : parameters_) {
    const at::Tensor like = at::empty({0}, parameter.options().dtype(at::kByte));
    moment.codes.push_back(ZeroPages(parameter.sizes(), like));
    moment.scales.push_back(ZeroPages({(parameter.numel() + kBlock - 1) / kBlock}, parameter));
  }
  if (parameters_.empty()) return moment;
  moment.map = at::tensor(at::ArrayRef<float>(map.data(), map.size()), at::kFloat)
                   .to(parameters_.front().second.device());
  moment.bounds = kernels::CodeBounds(moment.map);
  return moment;
}

void AdamW8Bit::Step(int step, double learning_rate, double gradient_factor) {
  at::NoGradGuard no_grad;
  small_->Step(step, learning_rate, gradient_factor);
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const auto& [name, parameter] = parameters_[p];
    const AdamWUpdate update = MakeAdamWUpdate(options_, WeightDecayOf(name, options_), step,
                                               learning_rate, gradient_factor);
    if (TakesOurLoops(parameter)) {
      StepOnCpu(p, update);
    } else {
      StepOnDevice(p, update);
    }
  }
}

void AdamW8Bit::StepOnCpu(size_t p, const AdamWUpdate& update) {
  const at::Tensor& parameter = parameters_[p].second;
  const int64_t count = parameter.numel(), blocks = (count + kBlock - 1) / kBlock;
  const at::Tensor gradient = GradientOf(parameter);
  float* const values = parameter.data_ptr<float>();
  const float* const g = gradient.const_data_ptr<float>();
  uint8_t* const first_codes = first_->codes[p].data_ptr<uint8_t>();
  uint8_t* const second_codes = second_->codes[p].data_ptr<uint8_t>();
  float* const first_scales = first_->scales[p].data_ptr<float>();
  float* const second_scales = second_->scales[p].data_ptr<float>();
  at::parallel_for(0, blocks, kUpdateGrain / kBlock, [&](int64_t begin, int64_t end) {
    std::array<float, kBlock> first, second;
    for (int64_t b = begin; b < end; ++b) {
      const int64_t at = b * kBlock, size = std::min(kBlock, count - at);
      first_->code.Decode(first_codes + at, first_scales[b], first.data(), size);
      second_->code.Decode(second_codes + at, second_scales[b], second.data(), size);
      ApplyAdamW(update, values + at, first.data(), second.data(), g + at, size);
      first_scales[b] = first_->code.Encode(first.data(), first_codes + at, size);
      second_scales[b] = second_->code.Encode(second.data(), second_codes + at, size);
    }
  });
}

void AdamW8Bit::StepOnDevice(size_t p, const AdamWUpdate& u) {
  const at::Tensor parameter = parameters_[p].second.detach().view({-1});
  const at::Tensor gradient = GradientOf(parameters_[p].second).view({-1}) * u.gradient_factor;
  at::Tensor first = Decode(*first_, p), second = Decode(*second_, p);
  first.lerp_(gradient, u.first_weight);
  second.mul_(u.beta2).addcmul_(gradient, gradient, u.second_weight);
  const at::Tensor denominator = (second.sqrt() / u.root_correction).add_(u.epsilon);
  parameter.mul_(u.keep).addcdiv_(first, denominator, -u.step_size);
  Encode(*first_, p, first);
  Encode(*second_, p, second);
}

at::Tensor AdamW8Bit::Decode(const Moment& moment, size_t p) {
  return kernels::Dequantize(moment.codes[p], moment.scales[p], kBlock, moment.map);
}

void AdamW8Bit::Encode(const Moment& moment, size_t p, const at::Tensor& numbers) {
  const kernels::Blockwise coded = kernels::Quantize(numbers, kBlock, moment.bounds);
  moment.codes[p].view({-1}).copy_(coded.codes);
  moment.scales[p].copy_(coded.scales);
}

NamedTensors AdamW8Bit::State() const {
  NamedTensors state = small_->State();
  AppendState("exp_avg", parameters_, first_->codes, state);
  AppendState("exp_avg_scale", parameters_, first_->scales, state);
  AppendState("exp_avg_sq", parameters_, second_->codes, state);
  AppendState("exp_avg_sq_scale", parameters_, second_->scales, state);
  return state;
}

}  // namespace attune::engine
