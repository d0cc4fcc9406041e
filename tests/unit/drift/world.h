#pragma once

// Live data of which the truth is known: pools of examples, and samples drawn from them.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/hash.h"
#include "coordinator/drift/detect.h"

namespace attune::drift::test {

struct Example {
  std::vector<float> embedding;
  double length = 0, loss = 0, entropy = 0;
  std::set<std::string> words;
  std::string text, category;
};
using Pool = std::vector<Example>;

double Uniform(Random& random);  // in (0, 1)
double Normal(Random& random);

// Gaussian groups with correlated columns: each of `topics` has a center, words and a category of
// its own; loss, entropy and length vary with the topic. Topics are numbered from first_topic on;
// the same number is the same topic in every pool.
Pool MakePool(size_t count, int first_topic, int topics, uint64_t seed);

// What a window differs by.
struct Change {
  double new_share = 0;  // of its examples are of the other pool
  double loss = 1;       // factor of losses, labelled or not
  double length = 1;     // factor of lengths
};

// count examples of pool, drawn with replacement, so that samples are independent given the pool.
Sample Draw(const Pool& pool, size_t count, Random& random, const Change& change = {},
            const Pool& other = {});

}  // namespace attune::drift::test
