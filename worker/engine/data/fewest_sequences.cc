#include <algorithm>

#include "worker/engine/data/length_packing.h"

namespace attune::engine {
namespace {

// Functions u-1 to u-k; more say nothing new of lengths as texts have.
constexpr uint64_t kFunctionsMax = 16;

// k * capacity * u-k(length / capacity); k = 0: the length itself, in units of capacity.
uint64_t Weight(uint64_t k, uint64_t length, uint64_t capacity) {
  if (k == 0) return length;
  if ((k + 1) * length % capacity == 0) return k * length;
  return (k + 1) * length / capacity * capacity;
}

// Sums of one function's weights: before kind i.
struct Sums {
  std::vector<uint64_t> weights = {0};
  uint64_t unit = 0;  // the weight of a full sequence
};

Sums SumWeights(const Histogram& histogram, uint64_t k, uint64_t capacity) {
  Sums sums;
  for (const auto& [length, count] : histogram) {
    sums.weights.push_back(sums.weights.back() + Weight(k, length, capacity) * count);
  }
  sums.unit = std::max<uint64_t>(k, 1) * capacity;
  return sums;
}

// The first kind that is longer than `length`.
size_t FirstAbove(const Histogram& histogram, uint64_t length) {
  const auto above = std::ranges::upper_bound(histogram, length, {}, &LengthCount::length);
  return static_cast<size_t>(above - histogram.begin());
}

}  // namespace

uint64_t FewestSequences(const Histogram& histogram, uint32_t capacity) {
  std::vector<uint64_t> counts = {0};  // before kind i
  for (const LengthCount& kind : histogram) counts.push_back(counts.back() + kind.count);
  uint64_t fewest = 0;
  for (uint64_t k = 0; k <= kFunctionsMax; ++k) {
    const Sums sums = SumWeights(histogram, k, capacity);
    // Lengths below epsilon weigh nothing, those above capacity - epsilon a whole sequence.
    for (size_t first = 0; first < histogram.size(); ++first) {
      const uint64_t epsilon = histogram[first].length;
      if (2 * epsilon > capacity && first > 0) break;
      const uint64_t cut = std::min<uint64_t>(epsilon, capacity / 2);
      const size_t whole = std::max(first, FirstAbove(histogram, capacity - cut));
      const uint64_t weight =
          sums.weights[whole] - sums.weights[first] + sums.unit * (counts.back() - counts[whole]);
      fewest = std::max(fewest, (weight + sums.unit - 1) / sums.unit);
    }
  }
  return fewest;
}

}  // namespace attune::engine
