#include <algorithm>

#include "worker/engine/data/plan.h"

namespace attune::engine {
namespace {

// Where each part ends when parts are filled from the left up to `most` tokens, leaving a sequence
// for every part still to come; empty when `most` is too little.
std::vector<size_t> FillParts(const std::vector<int64_t>& tokens, size_t parts, int64_t most) {
  std::vector<size_t> ends;
  size_t next = 0;
  for (size_t part = 0; part < parts; ++part) {
    int64_t load = 0;
    size_t keep = std::min(parts - part - 1, tokens.size() - next);
    while (next < tokens.size() - keep && load + tokens[next] <= most) load += tokens[next++];
    ends.push_back(next);
  }
  if (next < tokens.size()) ends.clear();
  return ends;
}

}  // namespace

std::vector<Sequence> RankPart(const PlannedStep& step, std::span<const uint32_t> lengths, int rank,
                               int world_size) {
  ATTUNE_CHECK(rank >= 0);
  ATTUNE_CHECK(rank < world_size);
  std::vector<int64_t> tokens;
  int64_t low = 0, high = 0;  // the smallest possible largest part, and one that surely fits
  for (const Sequence& sequence : step.sequences) {
    int64_t sum = 0;
    for (uint32_t example : sequence) sum += lengths[example];
    tokens.push_back(sum);
    low = std::max(low, sum);
    high += sum;
  }
  auto parts = static_cast<size_t>(world_size);
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (FillParts(tokens, parts, middle).empty()) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  std::vector<size_t> ends = FillParts(tokens, parts, high);
  auto part = static_cast<size_t>(rank);
  size_t begin = part == 0 ? 0 : ends[part - 1];
  return {step.sequences.begin() + static_cast<ptrdiff_t>(begin),
          step.sequences.begin() + static_cast<ptrdiff_t>(ends[part])};
}

}  // namespace attune::engine
