#pragma once

// Groups of vectors: Lloyd's (1982) iteration from k-means++ seeds (Arthur, Vassilvitskii 2007).

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace attune::statistics {

struct Nearest {
  size_t center = 0;
  double distance = 0;  // Euclidean
  double second = 0;    // to the nearest other center; infinite when there is one
};

struct KMeansOptions {
  size_t clusters = 8;  // at most the number of rows
  int iterations_most = 25;
  uint64_t seed = 0;
  int threads = 2;
};

// Centers, row by row. rows is not empty. The same numbers whatever the threads.
std::vector<float> KMeans(std::span<const float> rows, size_t dimension,
                          const KMeansOptions& options);

// For each row.
std::vector<Nearest> FindNearest(std::span<const float> rows, std::span<const float> centers,
                                 size_t dimension, int threads);

}  // namespace attune::statistics
