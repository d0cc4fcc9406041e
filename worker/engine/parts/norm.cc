#include "worker/engine/parts/norm.h"

#include <ATen/ATen.h>

#include <utility>

#include "worker/engine/kernels/pointwise.h"
#include "worker/engine/parts/record.h"

namespace attune::engine {
Norm::Norm(NormKind kind, double eps, int64_t size, std::string name, const at::Device& device)
    : kind_(kind), eps_(eps), name_(std::move(name)) {
  weight_ = at::empty({size}, at::TensorOptions().dtype(at::kFloat).device(device));
  if (kind == NormKind::kLayer) bias_ = at::empty_like(weight_);
}

at::Tensor Norm::Factor() const {
  return kind_ == NormKind::kRmsPlusOne ? weight_.detach() + 1 : weight_.detach();
}

at::Tensor Norm::Forward(const at::Tensor& x, Statistics* statistics) const {
  if (kind_ != NormKind::kLayer) {
    kernels::Normalized out = kernels::RmsNorm(x, Factor(), eps_);
    if (statistics != nullptr) statistics->rstd = std::move(out.rstd);
    return out.value;
  }
  auto [out, mean, rstd] = at::native_layer_norm(x.to(at::kFloat), weight_.sizes(),
                                                 weight_.detach(), bias_.detach(), eps_);
  if (statistics != nullptr) *statistics = {std::move(mean), std::move(rstd)};
  return out.to(x.scalar_type());
}

void Norm::Backward(const at::Tensor& dy, const at::Tensor& x, const Statistics& statistics,
                    const at::Tensor& dx, std::vector<at::Tensor>& gradients) const {
  const bool weight_trains = weight_.requires_grad();
  if (kind_ != NormKind::kLayer) {
    at::Tensor dweight;
    if (weight_trains) dweight = at::zeros_like(weight_);
    kernels::RmsNormBackward(dy, x, Factor(), statistics.rstd, dx, dweight);
    if (weight_trains) gradients.push_back(std::move(dweight));
    return;
  }
  const bool bias_trains = bias_.requires_grad();
  auto [by_x, by_weight, by_bias] = at::native_layer_norm_backward(
      dy.to(at::kFloat), x.to(at::kFloat), weight_.sizes(), statistics.mean, statistics.rstd,
      weight_.detach(), bias_.detach(), {true, weight_trains, bias_trains});
  dx.add_(by_x);
  if (weight_trains) gradients.push_back(std::move(by_weight));
  if (bias_trains) gradients.push_back(std::move(by_bias));
}

void Norm::TrainBase(bool trains) {
  for (at::Tensor* tensor : {&weight_, &bias_}) {
    if (tensor->defined()) *tensor = tensor->detach().requires_grad_(trains);
  }
}

std::vector<at::Tensor> Norm::Trainable() const {
  std::vector<at::Tensor> tensors;
  for (const at::Tensor& tensor : {weight_, bias_}) {
    if (tensor.defined() && tensor.requires_grad()) tensors.push_back(tensor);
  }
  return tensors;
}

void Norm::AppendTo(NamedTensors* named) const {
  if (weight_.defined()) named->emplace_back(name_ + ".weight", weight_);
  if (bias_.defined()) named->emplace_back(name_ + ".bias", bias_);
}

void Norm::AppendTo(Slots* slots) {
  if (weight_.defined()) slots->push_back({name_ + ".weight", &weight_, weight_});
  if (bias_.defined()) slots->push_back({name_ + ".bias", &bias_, bias_});
}

at::Tensor Normalize(const at::Tensor& x, const Norm& norm, const at::Tensor& residual) {
  Tensors inputs = {x, residual};
  for (at::Tensor& parameter : norm.Trainable()) inputs.push_back(std::move(parameter));
  Norm::Statistics statistics;
  at::Tensor out;
  {
    at::NoGradGuard no_grad;
    out = norm.Forward(x.detach(), &statistics);
    if (residual.defined()) out = out.add_(residual.detach());
  }
  if (!Records(inputs)) return out;
  Record("Normalize", out, inputs,
         [&norm, x = x.detach(), statistics, has_residual = residual.defined()](
             const at::Tensor& dy, const std::function<bool(size_t)>&) {
           const at::Tensor dx = at::zeros_like(x);
           Tensors gradients = {dx, has_residual ? dy : at::Tensor()};
           norm.Backward(dy, x, statistics, dx, gradients);
           return gradients;
         });
  return out;
}

}  // namespace attune::engine
