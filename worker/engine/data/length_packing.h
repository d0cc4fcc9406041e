#pragma once

// Packing over the histogram of lengths: which lengths share a sequence, and how often. Examples of
// one length are alike to it, so its work depends on the number of different lengths (at most the
// capacity), not on that of the examples. Integers only: the same on every machine and compiler.
// Private to this folder.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace attune::engine {

// Examples of one length.
struct LengthCount {
  uint32_t length = 0;  // from 1 to the capacity
  uint32_t count = 0;   // at least 1
};
// By ascending length, each once.
using Histogram = std::vector<LengthCount>;

Histogram CountLengths(std::span<const uint32_t> lengths);

// Sequences alike.
struct Pattern {
  std::vector<uint32_t> kinds;  // indices into the histogram, one for each example
  uint32_t times = 0;
};

struct LengthPacking {
  std::vector<Pattern> patterns;
  uint64_t sequences = 0;
  uint64_t fewest = 0;  // of PackLengths: no packing has fewer sequences

  void Add(Pattern pattern) {
    sequences += pattern.times;
    patterns.push_back(std::move(pattern));
  }
};

// How often `left` of each kind allow a sequence of these kinds, which are sorted.
uint32_t TimesThere(std::span<const uint32_t> kinds, std::span<const uint32_t> left);

// The best packing that the methods below find.
LengthPacking PackLengths(const Histogram& histogram, uint32_t capacity);

// No packing has fewer sequences: the largest bound that dual feasible functions give (Fekete and
// Schepers 2001: U-epsilon alone and with u-k, which include Martello and Toth's L2 of 1990).
uint64_t FewestSequences(const Histogram& histogram, uint32_t capacity);

// Best-fit decreasing (Johnson 1973): longest first, each into the fullest sequence that has room.
LengthPacking BestFitDecreasing(const Histogram& histogram, uint32_t capacity);

// Minimum bin slack (Gupta and Ho 1999; with the longest item fixed, Fleszar and Hindi 2002): each
// sequence takes the longest example left and then what fills it best, found by a search of bounded
// depth that prefers long ones.
LengthPacking FillLongest(const Histogram& histogram, uint32_t capacity);

// Sequential value correction (Mukhacheva et al. 2000; Belov and Scheithauer 2007): each sequence
// takes what is worth most, an exact knapsack; lengths that ended in badly filled sequences are
// worth more in the next pass. Passes until `goal` sequences are reached or the work is up.
// An empty packing (0 sequences) where not even one pass is affordable: for long sequences with
// thousands of different lengths, which the simpler methods fill well.
LengthPacking CorrectValues(const Histogram& histogram, uint32_t capacity, uint64_t goal);

}  // namespace attune::engine
