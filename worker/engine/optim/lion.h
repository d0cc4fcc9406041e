#pragma once

// Lion (Chen et al. 2023): each weight moves by the learning rate, in the direction of the sign of
// a momentum that this step's gradient is mixed into; decoupled weight decay. The arithmetic of
// lion-pytorch and of bitsandbytes' Lion.

#include <vector>

#include "worker/engine/optim/optimizer.h"

namespace attune::engine {

class Lion : public Optimizer {
 public:
  Lion(NamedTensors parameters, const OptimizerOptions& options);

  void Step(int step, double learning_rate, double gradient_factor) override;
  NamedTensors State() const override;  // exp_avg: float32 as the parameters

 private:
  void StepOnCpu(size_t parameter, double learning_rate, double gradient_factor);
  void StepOnDevice(size_t parameter, double learning_rate, double gradient_factor);

  const NamedTensors parameters_;
  const OptimizerOptions options_;
  const std::vector<at::Tensor> average_;  // of gradients, by parameter
};

}  // namespace attune::engine
