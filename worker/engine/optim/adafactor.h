#pragma once

// Adafactor (Shazeer and Stern 2018) with a learning rate from outside: the arithmetic of
// transformers' Adafactor(scale_parameter=False, relative_step=False, warmup_init=False,
// clip_threshold=1, decay_rate=-0.8, eps=(1e-30, _), beta1=None). Of a matrix's squared gradients
// it keeps averages of rows and of columns, in place of one number a weight.

#include <vector>

#include "worker/engine/optim/optimizer.h"

namespace attune::engine {

class Adafactor : public Optimizer {
 public:
  Adafactor(NamedTensors parameters, const OptimizerOptions& options);

  void Step(int step, double learning_rate, double gradient_factor) override;
  // exp_avg_sq_row and exp_avg_sq_col of what has two dimensions, exp_avg_sq of all else.
  NamedTensors State() const override;

 private:
  struct Moment {
    at::Tensor row, column;  // undefined for what is not factored
    at::Tensor whole;        // undefined for what is
  };
  // The gradient over the root of its moment, which this step's gradient enters.
  static at::Tensor Direction(const Moment& moment, const at::Tensor& gradient, double keep);

  const NamedTensors parameters_;
  const OptimizerOptions options_;
  std::vector<Moment> moments_;  // by parameter
};

}  // namespace attune::engine
