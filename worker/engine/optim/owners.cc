#include "worker/engine/optim/owners.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "worker/engine/optim/state_bytes.h"

namespace attune::engine {

std::vector<int> AssignOwners(const OptimizerOptions& options,
                              const std::vector<std::vector<int64_t>>& shapes, int ranks) {
  // An update takes its time even where no state is kept.
  std::vector<int64_t> bytes;
  for (const auto& shape : shapes) {
    bytes.push_back(StateBytes(options, shape) +
                    std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()));
  }
  std::vector<size_t> order(bytes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](size_t p) { return bytes[p]; });
  std::vector<int64_t> kept(ranks, 0);
  std::vector<int> owners(bytes.size());
  for (const size_t p : order) {
    const auto least = std::ranges::min_element(kept);
    owners[p] = static_cast<int>(least - kept.begin());
    *least += bytes[p];
  }
  return owners;
}

}  // namespace attune::engine
