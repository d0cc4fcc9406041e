#include "worker/engine/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attune::engine {

Result<double> ScheduleFactor(const OptimizerOptions& options, int step, int total_steps) {
  const std::string& name = options.schedule;
  if (name != "linear" && name != "cosine" && name != "constant") {
    return InvalidArgument("unknown schedule '" + name + "': use linear, cosine or constant")
        .WithField("optimizer.schedule");
  }
  if (step < options.warmup_steps) return static_cast<double>(step) / options.warmup_steps;
  if (name == "constant") return 1.0;
  const double decay_steps = std::max(1, total_steps - options.warmup_steps);
  if (name == "linear") return std::max(0.0, (total_steps - step) / decay_steps);
  const double progress = (step - options.warmup_steps) / decay_steps;
  return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
}

}  // namespace attune::engine
