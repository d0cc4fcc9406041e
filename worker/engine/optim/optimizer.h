#pragma once

// What turns gradients into weights. Which optimizers there are and whose arithmetic each has is in
// docs/training.md.

#include <memory>
#include <string_view>
#include <vector>

#include "worker/engine/adapters/named_tensors.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// Holds what it keeps of each parameter between updates, zero at first, on the parameter's device.
// An update of a parameter depends on that parameter, its gradient and its state alone, so that
// others may be updated elsewhere.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // Update number `step`, from 1, with the parameters' gradients times gradient_factor (of
  // clipping). A missing gradient counts as zero.
  virtual void Step(int step, double learning_rate, double gradient_factor) = 0;
  // All that an update depends on beside parameters and gradients, named KIND.PARAMETER: views, to
  // be written or copied into.
  virtual NamedTensors State() const = 0;
};

// Of contiguous float32 parameters. The name is one of those that CheckOptimizer takes.
std::unique_ptr<Optimizer> MakeOptimizer(NamedTensors parameters, const OptimizerOptions& options);

// Whether weight decay is for the parameter of this name, as transformers' Trainer has it
// (get_decay_parameter_names): norms and biases do not decay.
bool Decays(std::string_view parameter);

// What the implementations share.

// The weight decay of a parameter.
double WeightDecayOf(std::string_view parameter, const OptimizerOptions& options);
// The parameter's gradient, contiguous; zeros where there is none.
at::Tensor GradientOf(const at::Tensor& parameter);
// Zeros of each parameter's shape.
std::vector<at::Tensor> ZerosLike(const NamedTensors& parameters);
// kind.PARAMETER of each.
void AppendState(const char* kind, const NamedTensors& parameters,
                 const std::vector<at::Tensor>& values, NamedTensors& state);
// Whether the loops of update_kernels.h are for this parameter; else tensor operations are.
bool TakesOurLoops(const at::Tensor& parameter);
// Elements that are worth a thread.
inline constexpr int64_t kUpdateGrain = 1 << 15;

}  // namespace attune::engine
