#pragma once

// AdamW (Loshchilov and Hutter 2019): decoupled weight decay, with the arithmetic of
// torch.optim.AdamW and the parameter groups of transformers' Trainer.

#include <vector>

#include "worker/engine/optim/optimizer.h"
#include "worker/engine/optim/update_kernels.h"

namespace attune::engine {

AdamWUpdate MakeAdamWUpdate(const OptimizerOptions& options, double weight_decay, int step,
                            double learning_rate, double gradient_factor);

class AdamW : public Optimizer {
 public:
  AdamW(NamedTensors parameters, const OptimizerOptions& options);

  void Step(int step, double learning_rate, double gradient_factor) override;
  NamedTensors State() const override;  // exp_avg and exp_avg_sq: float32 as the parameters

 private:
  void StepOnCpu(int step, double learning_rate, double gradient_factor);
  void StepOnDevice(int step, double learning_rate, double gradient_factor);
  // The device's kernel over the parameters that decay, or over the others.
  void StepGroup(bool decays, int step, double learning_rate, const at::Tensor& scale);

  const NamedTensors parameters_;
  const OptimizerOptions options_;
  const std::vector<at::Tensor> first_, second_;  // moments, by parameter
};

}  // namespace attune::engine
