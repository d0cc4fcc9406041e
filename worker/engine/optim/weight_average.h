#pragma once

// An exponential moving average of weights: torch.optim.swa_utils.AveragedModel with
// get_ema_multi_avg_fn(decay). After the first update it is a copy of the weights; after each later
// one it moves by 1 - decay of the way towards them.

#include <vector>

#include "worker/engine/adapters/named_tensors.h"

namespace attune::engine {

class WeightAverage {
 public:
  // Of float32 parameters; a copy of what they are now.
  WeightAverage(NamedTensors parameters, double decay);

  // After update number `step` of the parameters, from 1.
  void Update(int step);
  // Exchanges averages and parameters; once more exchanges them back, bit by bit.
  void Swap();

  NamedTensors Values() const;  // under the parameters' names
  NamedTensors State() const;   // the same as ema.PARAMETER: views, to be written or copied into

 private:
  const NamedTensors parameters_;
  const double decay_;
  std::vector<at::Tensor> averages_;  // by parameter
};

}  // namespace attune::engine
