#pragma once

// What holds weights w near w0, where training starts: strength / 2 * sum of f (w - w0)^2.
// L2-SP (Li, Grandvalet, Davoine 2018) has f = 1; elastic weight consolidation (Kirkpatrick et al.
// 2017) has the diagonal of the Fisher information.

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/engine/model/language_model.h"

namespace attune::engine {

class Penalty {
 public:
  // Contiguous float32 parameters; w0 is a copy of what they are now. With has_fisher, f starts at
  // zero and is to be filled through Fisher().
  Penalty(NamedTensors parameters, double strength, bool has_fisher);

  // Adds the penalty's gradient to the parameters', all of which must be there; returns the
  // penalty. On the CPU the same bits for any number of threads.
  double AddGradient() const;

  // f by parameter, named fisher.PARAMETER: views. Empty without a Fisher information.
  NamedTensors Fisher() const;

 private:
  const NamedTensors parameters_;
  const double strength_;
  std::vector<at::Tensor> start_, fisher_;  // by parameter; fisher_ may be empty
};

}  // namespace attune::engine
