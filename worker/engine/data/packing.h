#pragma once

// Examples into sequences, and sequences into steps of equal work. Pure functions. Private to this
// folder.

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/hash.h"

namespace attune::engine {

// Bins as one flat list: bin b holds items[starts[b]] up to items[starts[b + 1]].
struct Bins {
  std::vector<uint32_t> items;
  std::vector<uint32_t> starts = {0};

  size_t size() const { return starts.size() - 1; }
  std::span<const uint32_t> operator[](size_t b) const {
    return std::span(items).subspan(starts[b], starts[b + 1] - starts[b]);
  }
};

void Shuffle(std::vector<uint32_t>* items, Random* random);

// Best-fit decreasing (Johnson 1973): longest first, each into the fullest bin that has room, found
// in a segment tree over the room left; O(n log capacity). Equal lengths keep the order of `order`.
// The number of bins depends on the lengths alone.
Bins PackBestFit(std::span<const uint32_t> order, std::span<const uint32_t> lengths, int capacity);

// Numbers of sequences, by step: `size` a step, the last may have fewer. Longest first, each to the
// step that has the least work for its places, so that steps carry near equal tokens; the full
// steps come in a random order.
Bins BalanceSteps(std::span<const uint64_t> sequence_tokens, int size, Random* random);

}  // namespace attune::engine
