#include "common/statistics/k_means.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/hash.h"
#include "common/base/status.h"
#include "common/statistics/matrix.h"

namespace attune::statistics {
namespace {

double Square(const float* row, size_t dimension) {
  double sum = 0;
  for (size_t k = 0; k < dimension; ++k) sum += static_cast<double>(row[k]) * row[k];
  return sum;
}

double Uniform(Random& random) {
  return static_cast<double>(random.Next() >> 11) * 0x1p-53;
}

void Append(std::span<const float> rows, size_t dimension, size_t row,
            std::vector<float>* centers) {
  const auto values = rows.subspan(row * dimension, dimension);
  centers->insert(centers->end(), values.begin(), values.end());
}

// Each next seed with a chance in proportion to its squared distance to those there are.
std::vector<float> Seeds(std::span<const float> rows, size_t dimension, size_t clusters,
                         Random& random, int threads) {
  const size_t count = rows.size() / dimension;
  std::vector<float> centers;
  Append(rows, dimension, random.Below(count), &centers);
  std::vector<double> squares(count, std::numeric_limits<double>::infinity());
  for (size_t c = 1; c < clusters; ++c) {
    const std::span<const float> newest = std::span(centers).last(dimension);
    const std::vector<Nearest> nearest = FindNearest(rows, newest, dimension, threads);
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
      squares[i] = std::min(squares[i], nearest[i].distance * nearest[i].distance);
      sum += squares[i];
    }
    double left = Uniform(random) * sum;
    size_t chosen = 0;
    while (chosen + 1 < count && left >= squares[chosen]) left -= squares[chosen++];
    Append(rows, dimension, chosen, &centers);
  }
  return centers;
}

}  // namespace

std::vector<Nearest> FindNearest(std::span<const float> rows, std::span<const float> centers,
                                 size_t dimension, int threads) {
  const size_t count = rows.size() / dimension, clusters = centers.size() / dimension;
  ATTUNE_CHECK(clusters > 0);
  std::vector<float> products(count * clusters);
  MultiplyTransposed(rows.data(), count, centers.data(), clusters, dimension, products.data(),
                     threads);
  std::vector<double> center_squares;
  for (size_t c = 0; c < clusters; ++c) {
    center_squares.push_back(Square(centers.data() + c * dimension, dimension));
  }
  std::vector<Nearest> nearest(count);
  for (size_t i = 0; i < count; ++i) {
    const double square = Square(rows.data() + i * dimension, dimension);
    double least = std::numeric_limits<double>::infinity(), second = least;
    for (size_t c = 0; c < clusters; ++c) {
      const double distance =
          std::max(0.0, square + center_squares[c] - 2.0 * products[i * clusters + c]);
      if (distance < least) {
        second = least;
        least = distance;
        nearest[i].center = c;
      } else {
        second = std::min(second, distance);
      }
    }
    nearest[i].distance = std::sqrt(least);
    nearest[i].second = std::sqrt(second);
  }
  return nearest;
}

std::vector<float> KMeans(std::span<const float> rows, size_t dimension,
                          const KMeansOptions& options) {
  ATTUNE_CHECK(dimension > 0 && !rows.empty() && options.clusters > 0);
  const size_t count = rows.size() / dimension;
  const size_t clusters = std::min(options.clusters, count);
  Random random(options.seed);
  std::vector<float> centers = Seeds(rows, dimension, clusters, random, options.threads);
  std::vector<size_t> assigned(count, clusters);
  for (int iteration = 0; iteration < options.iterations_most; ++iteration) {
    const std::vector<Nearest> nearest = FindNearest(rows, centers, dimension, options.threads);
    bool changed = false;
    std::vector<double> sums(centers.size(), 0.0);
    std::vector<size_t> members(clusters, 0);
    for (size_t i = 0; i < count; ++i) {
      const size_t c = nearest[i].center;
      changed = changed || assigned[i] != c;
      assigned[i] = c;
      ++members[c];
      for (size_t k = 0; k < dimension; ++k) sums[c * dimension + k] += rows[i * dimension + k];
    }
    if (!changed) break;
    for (size_t c = 0; c < clusters; ++c) {
      if (members[c] == 0) continue;  // stays where it was
      for (size_t k = 0; k < dimension; ++k) {
        centers[c * dimension + k] =
            static_cast<float>(sums[c * dimension + k] / static_cast<double>(members[c]));
      }
    }
  }
  return centers;
}

}  // namespace attune::statistics
