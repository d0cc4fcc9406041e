#pragma once

// Stochastic gradient descent with momentum: the arithmetic of torch.optim.SGD without dampening
// and Nesterov's step. Weight decay is added to the gradient, after clipping, as there.

#include <vector>

#include "worker/engine/optim/optimizer.h"

namespace attune::engine {

class Sgd : public Optimizer {
 public:
  Sgd(NamedTensors parameters, const OptimizerOptions& options);

  void Step(int step, double learning_rate, double gradient_factor) override;
  NamedTensors State() const override;  // momentum_buffer; nothing without momentum

 private:
  void StepOnCpu(size_t parameter, double learning_rate, double gradient_factor);
  void StepOnDevice(size_t parameter, double learning_rate, double gradient_factor);

  const NamedTensors parameters_;
  const OptimizerOptions options_;
  const std::vector<at::Tensor> velocity_;  // by parameter; empty without momentum
};

}  // namespace attune::engine
