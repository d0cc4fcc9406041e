#pragma once

// Samples for tests of drift, drawn from a seed.

#include <cmath>
#include <string>
#include <vector>

#include "common/base/hash.h"
#include "coordinator/drift/detect.h"

namespace attune::drift::test {

inline double Uniform(Random& random) {
  return (static_cast<double>(random.Next() >> 11) + 0.5) * 0x1p-53;
}

inline double Normal(Random& random) {
  return std::sqrt(-2 * std::log(Uniform(random))) * std::cos(2 * M_PI * Uniform(random));
}

inline std::vector<double> Normals(Random& random, size_t count, double mean, double deviation) {
  std::vector<double> values(count);
  for (double& value : values) value = mean + deviation * Normal(random);
  return values;
}

}  // namespace attune::drift::test
