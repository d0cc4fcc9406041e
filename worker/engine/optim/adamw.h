#pragma once

// AdamW (Loshchilov and Hutter 2019): decoupled weight decay, with the arithmetic of
// torch.optim.AdamW and the parameter groups of transformers' Trainer: norms and biases do not
// decay.

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "worker/engine/engine.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {

// Whether weight decay is for the parameter of this name (Trainer.get_decay_parameter_names).
bool Decays(std::string_view parameter);

class AdamW {
 public:
  // Contiguous float32 parameters. The moments, float32 of the same shapes, start at zero.
  AdamW(NamedTensors parameters, const OptimizerOptions& options);

  // Update number `step`, from 1, with the parameters' gradients times gradient_factor (of
  // clipping). A missing gradient counts as zero. One pass over memory.
  void Step(int step, double learning_rate, double gradient_factor);

  // The moments, named exp_avg.PARAMETER and exp_avg_sq.PARAMETER: views, to be written or copied
  // into.
  NamedTensors State() const;

 private:
  void StepOnCpu(int step, double learning_rate, double gradient_factor);
  void StepOnDevice(int step, double learning_rate, double gradient_factor);
  // The device's kernel over the parameters that decay, or over the others.
  void StepGroup(bool decays, int step, double learning_rate, const at::Tensor& scale);

  const NamedTensors parameters_;
  const OptimizerOptions options_;
  std::vector<at::Tensor> first_, second_;  // moments, by parameter
};

}  // namespace attune::engine
