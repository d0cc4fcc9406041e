#pragma once

// Examples into sequences, and sequences into steps of equal work. Pure functions. Private to this
// folder.

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/hash.h"
#include "worker/engine/data/length_packing.h"

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

void Shuffle(std::span<uint32_t> items, Random* random);

// Packs every epoch alike: which lengths share a sequence follows from the lengths alone, and so
// does the number of sequences; chance decides which examples of these lengths. Keeps 4 bytes an
// example, and takes 8 more while it packs.
class Packer {
 public:
  // Lengths from 1 to the capacity.
  Packer(std::span<const uint32_t> lengths, uint32_t capacity);

  uint64_t sequences() const { return packing_.sequences; }
  uint64_t fewest_sequences() const { return packing_.fewest; }  // no packing has fewer
  Bins Pack(Random* random) const;

 private:
  const Histogram histogram_;
  const LengthPacking packing_;
  std::vector<uint32_t> by_length_;  // all examples, shortest first
};

// Numbers of sequences, by step: `size` a step, the last may have fewer. Longest first, each to the
// step that has the least work for its places, so that steps carry near equal tokens; the full
// steps come in a random order. Each sequence has at most `capacity` tokens.
Bins BalanceSteps(std::span<const uint32_t> sequence_tokens, uint32_t capacity, int size,
                  Random* random);

}  // namespace attune::engine
