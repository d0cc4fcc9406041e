#pragma once

// How far two updates of the same weights are apart. No torch here.

#include <memory>

#include "common/base/status.h"
#include "common/safetensors/safetensors.h"
#include "worker/engine/engine.h"
#include "worker/engine/parity.h"

namespace attune::engine {

// What one update made.
struct Update {
  StepReport report;
  std::shared_ptr<const SafetensorsFile> weights;  // float32
};

// A method's update by both optimizers (see ParityRow).
struct Updates {
  Update sgd, adamw;
};

struct WeightsDistance {
  double moved = 0;  // the largest |reference - start| of any weight
  double apart = 0;  // the largest |other - reference|
};
// Infinite where a weight is not finite. kInternal when the files do not hold the same tensors.
Result<WeightsDistance> DistanceOf(const SafetensorsFile& start, const SafetensorsFile& reference,
                                   const SafetensorsFile& other);

// Fills the row's numbers from loss on.
Status Compare(const SafetensorsFile& start, const Updates& reference, const Updates& other,
               ParityRow* row);

}  // namespace attune::engine
