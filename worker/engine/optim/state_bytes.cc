#include "worker/engine/optim/state_bytes.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "worker/engine/optim/adamw_8bit.h"

namespace attune::engine {
namespace {

constexpr int64_t kFloat = 4;
constexpr const char* kNames[] = {"adamw", "adamw-8bit", "adafactor", "sgd", "lion"};

int64_t CodedBytes(int64_t elements) {
  return elements + (elements + StateCode::kBlock - 1) / StateCode::kBlock * kFloat;
}

}  // namespace

Status CheckOptimizerName(const std::string& name) {
  if (std::ranges::find(kNames, name) != std::end(kNames)) return Status();
  return InvalidArgument("optimizer.name is '" + name +
                         "': use adamw, adamw-8bit, adafactor, sgd or lion")
      .WithField("optimizer.name");
}

int64_t StateBytes(const OptimizerOptions& options, const std::vector<int64_t>& shape) {
  const int64_t elements =
      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  if (options.name == "sgd") return options.momentum > 0 ? elements * kFloat : 0;
  if (options.name == "lion") return elements * kFloat;
  if (options.name == "adafactor") {
    if (shape.size() < 2) return elements * kFloat;
    return (elements / shape.back() + elements / shape[shape.size() - 2]) * kFloat;
  }
  if (options.name == "adamw-8bit" && elements >= AdamW8Bit::kElementsMin) {
    return 2 * CodedBytes(elements);
  }
  return 2 * elements * kFloat;
}

}  // namespace attune::engine
