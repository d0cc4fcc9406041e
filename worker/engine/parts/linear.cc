#include "worker/engine/parts/linear.h"

#include <ATen/ATen.h>

#include <utility>

#include "worker/engine/kernels/activation.h"
#include "worker/engine/parts/record.h"

namespace attune::engine {
namespace {

// What a projection multiplies.
struct Source {
  Tensors parameters;
  std::function<at::Tensor()> make;
  // From the gradient by what was made to that by x. Appends those by the parameters.
  std::function<at::Tensor(const at::Tensor&, Tensors&)> back;
};

at::Tensor Project(const char* name, const at::Tensor& x, Source source, const PlacedProjection& to,
                   const at::Tensor& residual) {
  Tensors inputs = {x, residual};
  for (at::Tensor& parameter : to.projection.Trainable()) inputs.push_back(std::move(parameter));
  inputs.insert(inputs.end(), source.parameters.begin(), source.parameters.end());
  const bool records = Records(inputs);
  Projection::Kept kept;
  at::Tensor out;
  {
    at::NoGradGuard no_grad;
    out = to.projection.Forward(source.make(), residual.defined() ? residual.detach() : residual,
                                to.call(), records ? &kept : nullptr);
  }
  if (!records) return out;
  Record(name, out, inputs,
         [to, source = std::move(source), kept, has_residual = residual.defined(),
          count = inputs.size()](const at::Tensor& dy, const std::function<bool(size_t)>& wanted) {
           const bool want_source = wanted(0) || !source.parameters.empty();
           Tensors gradients = {at::Tensor(), has_residual ? dy : at::Tensor()};
           const at::Tensor dmade =
               to.projection.Backward(dy, source.make(), to.call(), kept, want_source, gradients);
           if (want_source) gradients[0] = source.back(dmade, gradients);
           TORCH_CHECK(gradients.size() == count,
                       "an adapter was switched between forward and backward");
           return gradients;
         });
  return out;
}

}  // namespace

at::Tensor NormedLinear(const at::Tensor& x, const Norm& norm, const PlacedProjection& to) {
  Source source{.parameters = norm.Trainable()};
  auto statistics = std::make_shared<Norm::Statistics>();
  source.make = [&norm, x = x.detach(), statistics] { return norm.Forward(x, statistics.get()); };
  source.back = [&norm, x = x.detach(), statistics](const at::Tensor& dmade, Tensors& gradients) {
    at::Tensor dx = at::zeros_like(x);
    norm.Backward(dmade, x, *statistics, dx, gradients);
    return dx;
  };
  return Project("NormedLinear", x, std::move(source), to, {});
}

at::Tensor Linear(const at::Tensor& x, const PlacedProjection& to, const at::Tensor& residual) {
  Source source;
  source.make = [x = x.detach()] { return x; };
  source.back = [](const at::Tensor& dmade, Tensors&) { return dmade; };
  return Project("Linear", x, std::move(source), to, residual);
}

at::Tensor ActivatedLinear(const at::Tensor& x, Activation activation, bool gated,
                           const PlacedProjection& to, const at::Tensor& residual) {
  Source source;
  source.make = [x = x.detach(), activation, gated] {
    return kernels::Activate(x, activation, gated);
  };
  source.back = [x = x.detach(), activation, gated](const at::Tensor& dmade, Tensors&) {
    return kernels::ActivateBackward(dmade, x, activation, gated);
  };
  return Project("ActivatedLinear", x, std::move(source), to, residual);
}

at::Tensor Activated(const at::Tensor& x, Activation activation) {
  at::Tensor out;
  {
    at::NoGradGuard no_grad;
    out = kernels::Activate(x.detach(), activation, /*gated=*/false);
  }
  if (!Records({x})) return out;
  Record("Activated", out, {x},
         [x = x.detach(), activation](const at::Tensor& dy, const std::function<bool(size_t)>&) {
           return Tensors{kernels::ActivateBackward(dy, x, activation, /*gated=*/false)};
         });
  return out;
}

}  // namespace attune::engine
