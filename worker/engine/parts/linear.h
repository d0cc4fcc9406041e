#pragma once

// A projection of what a norm, an activation or nothing makes of its input, as one node: what it
// multiplies is not kept but made again in backward.

#include <ATen/core/Tensor.h>

#include "common/model/model_config.h"
#include "worker/engine/adapters/projection.h"
#include "worker/engine/parts/context.h"
#include "worker/engine/parts/norm.h"

namespace attune::engine {

// A projection and what its adapter's dropout follows from: `module` is the number of its first
// part within the model.
struct PlacedProjection {
  const Projection& projection;
  SharedContext context;
  uint32_t module;

  DropoutCall call() const {
    return {context->places ? &*context->places : nullptr, context->seed, module};
  }
};

// projection(norm(x))
at::Tensor NormedLinear(const at::Tensor& x, const Norm& norm, const PlacedProjection& to);
// residual + projection(x); residual may be undefined.
at::Tensor Linear(const at::Tensor& x, const PlacedProjection& to, const at::Tensor& residual = {});
// residual + projection(activation(x)); see kernels::Activate.
at::Tensor ActivatedLinear(const at::Tensor& x, Activation activation, bool gated,
                           const PlacedProjection& to, const at::Tensor& residual = {});

// activation(x); see kernels::Activate.
at::Tensor Activated(const at::Tensor& x, Activation activation);

}  // namespace attune::engine
