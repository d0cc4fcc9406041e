#pragma once

// Numbers for tests of statistics, drawn from a seed.

#include <cmath>
#include <cstddef>
#include <vector>

#include "common/base/hash.h"

namespace attune::statistics::test {

inline double Uniform(Random& random) {
  return (static_cast<double>(random.Next() >> 11) + 0.5) * 0x1p-53;
}

inline double Normal(Random& random) {
  return std::sqrt(-2 * std::log(Uniform(random))) * std::cos(2 * M_PI * Uniform(random));
}

// count rows around shift in the first column and 0 in the others, of standard deviation spread.
inline std::vector<float> Rows(Random& random, size_t count, size_t dimension, double shift = 0,
                               double spread = 1) {
  std::vector<float> rows(count * dimension);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = static_cast<float>(spread * Normal(random) + (i % dimension == 0 ? shift : 0));
  }
  return rows;
}

}  // namespace attune::statistics::test
