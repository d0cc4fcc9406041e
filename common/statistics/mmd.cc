#include "common/statistics/mmd.h"

#include <algorithm>
#include <boost/math/distributions/gamma.hpp>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "common/base/hash.h"
#include "common/base/parallel_for.h"
#include "common/base/status.h"
#include "common/statistics/matrix.h"
#include "common/statistics/two_samples.h"

namespace attune::statistics {
namespace {

constexpr size_t kMedianMost = 1000;  // vectors whose distances give the median
constexpr size_t kChunk = 96;         // permutations, and rows, that one task takes

void Parallel(size_t count, int threads, const auto& body) {
  const Status done = ParallelFor(count, threads, [&](size_t i) {
    body(i);
    return Status();
  });
  ATTUNE_CHECK(done.ok());
}

// Both samples, x first, less their mean: differences are what counts, and small numbers are exact.
struct Pool {
  size_t n, m, dimension;
  std::vector<float> rows;
  size_t size() const { return n + m; }
};

Pool MakePool(std::span<const float> x, std::span<const float> y, size_t dimension) {
  Pool pool{x.size() / dimension, y.size() / dimension, dimension, {}};
  pool.rows.reserve(x.size() + y.size());
  pool.rows.insert(pool.rows.end(), x.begin(), x.end());
  pool.rows.insert(pool.rows.end(), y.begin(), y.end());
  std::vector<double> mean(dimension, 0.0);
  for (size_t i = 0; i < pool.rows.size(); ++i) mean[i % dimension] += pool.rows[i];
  for (double& value : mean) value /= static_cast<double>(pool.size());
  for (size_t i = 0; i < pool.size(); ++i) {
    for (size_t k = 0; k < dimension; ++k) {
      pool.rows[i * dimension + k] -= static_cast<float>(mean[k]);
    }
  }
  return pool;
}

std::vector<float> SquaredDistances(const float* rows, size_t count, size_t dimension,
                                    int threads) {
  std::vector<float> distances(count * count);
  MultiplyTransposed(rows, count, rows, count, dimension, distances.data(), threads);
  std::vector<float> norms(count);
  for (size_t i = 0; i < count; ++i) norms[i] = distances[i * count + i];
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < count; ++j) {
      float& value = distances[i * count + j];
      value = std::max(0.0f, norms[i] + norms[j] - 2 * value);
    }
  }
  return distances;
}

// The lower median over pairs, as alibi-detect's sigma_median takes it of the whole matrix.
double Median(const std::vector<float>& distances, size_t count) {
  std::vector<float> pairs;
  pairs.reserve(count * (count - 1) / 2);
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < i; ++j) pairs.push_back(distances[i * count + j]);
  }
  const auto middle = pairs.begin() + static_cast<std::ptrdiff_t>((pairs.size() - 1) / 2);
  std::nth_element(pairs.begin(), middle, pairs.end());
  return *middle;
}

double GammaOf(double median) {
  return median > 0 ? 1 / median : 1;
}

double SampledGamma(const Pool& pool, Random& random, int threads) {
  const size_t count = std::min(pool.size(), kMedianMost);
  std::vector<size_t> order(pool.size());
  std::iota(order.begin(), order.end(), 0);
  std::vector<float> rows;
  for (size_t i = 0; i < count; ++i) {
    std::swap(order[i], order[i + random.Below(pool.size() - i)]);
    const float* row = pool.rows.data() + order[i] * pool.dimension;
    rows.insert(rows.end(), row, row + pool.dimension);
  }
  return GammaOf(Median(SquaredDistances(rows.data(), count, pool.dimension, threads), count));
}

// What the statistic and the witness function need of a kernel: sums over subsets of the pool.
class Kernel {
 public:
  virtual ~Kernel() = default;
  // MMD^2 for each row of members (count x pool), where 1 marks the vectors of y, else 0.
  virtual void Statistics(const float* members, size_t count, double* mmd2) const = 0;
  // sum over i of weights[i] k(i, j), for each j.
  virtual std::vector<double> Witness(const std::vector<float>& weights) const = 0;
};

double Statistic(double xx, double yy, double xy, double n, double m) {
  return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m);
}

class ExactKernel : public Kernel {
 public:
  ExactKernel(const Pool& pool, double* gamma, int threads) : n_(pool.n), m_(pool.m) {
    const size_t size = pool.size();
    std::vector<float> values = SquaredDistances(pool.rows.data(), size, pool.dimension, threads);
    *gamma = GammaOf(Median(values, size));
    sums_.resize(size);
    Parallel(size, threads, [&](size_t i) {
      double sum = 0;
      for (size_t j = 0; j < size; ++j) {
        float& value = values[i * size + j];
        value = i == j ? 0.0f : std::exp(-static_cast<float>(*gamma) * value);
        sum += value;
      }
      sums_[i] = sum;
    });
    rows_ = std::make_unique<PackedRows>(values.data(), size, size, threads);
  }

  void Statistics(const float* members, size_t count, double* mmd2) const override {
    const size_t size = n_ + m_;
    std::vector<float> products(count * size);
    rows_->Multiply(members, count, products.data(), size);
    const double all = std::accumulate(sums_.begin(), sums_.end(), 0.0);
    for (size_t p = 0; p < count; ++p) {
      double yy = 0, y_all = 0;
      for (size_t i = 0; i < size; ++i) {
        if (members[p * size + i] == 0) continue;
        yy += products[p * size + i];
        y_all += sums_[i];
      }
      mmd2[p] = Statistic(all - 2 * y_all + yy, yy, y_all - yy, static_cast<double>(n_),
                          static_cast<double>(m_));
    }
  }

  std::vector<double> Witness(const std::vector<float>& weights) const override {
    std::vector<float> values(weights.size());
    rows_->Multiply(weights.data(), 1, values.data(), weights.size());
    return {values.begin(), values.end()};
  }

 private:
  const size_t n_, m_;
  std::vector<double> sums_;  // of each row, without the diagonal
  std::unique_ptr<PackedRows> rows_;
};

float Normal(Random& random) {
  const double u = (static_cast<double>(random.Next() >> 11) + 0.5) * 0x1p-53;
  const double v = static_cast<double>(random.Next() >> 11) * 0x1p-53;
  return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * v));
}

// Features are less their mean over the pool, which changes no MMD^2 (it is a U-statistic of
// differences) and makes the sums exact in float.
class FourierKernel : public Kernel {
 public:
  FourierKernel(const Pool& pool, double gamma, size_t features, Random& random, int threads)
      : n_(pool.n), m_(pool.m), features_(features / 2 * 2), values_(features_ * pool.size()) {
    const size_t size = pool.size(), waves = features_ / 2;
    std::vector<float> frequencies(waves * pool.dimension);
    const auto spread = static_cast<float>(std::sqrt(2 * gamma));
    for (float& frequency : frequencies) frequency = spread * Normal(random);
    MultiplyTransposed(frequencies.data(), waves, pool.rows.data(), size, pool.dimension,
                       values_.data(), threads);
    const auto scale = static_cast<float>(std::sqrt(1.0 / static_cast<double>(waves)));
    Parallel(waves, threads, [&](size_t wave) {
      float* cosines = values_.data() + wave * size;
      float* sines = values_.data() + (waves + wave) * size;
      for (size_t i = 0; i < size; ++i) {
        const float phase = cosines[i];
        cosines[i] = scale * std::cos(phase);
        sines[i] = scale * std::sin(phase);
      }
      Center(cosines, size);
      Center(sines, size);
    });
    squares_.assign(size, 0.0);
    for (size_t f = 0; f < features_; ++f) {
      const float* row = values_.data() + f * size;
      for (size_t i = 0; i < size; ++i) squares_[i] += static_cast<double>(row[i]) * row[i];
    }
    rows_ = std::make_unique<PackedRows>(values_.data(), features_, size, threads);
  }

  void Statistics(const float* members, size_t count, double* mmd2) const override {
    std::vector<float> sums(count * features_);
    rows_->Multiply(members, count, sums.data(), features_);
    const size_t size = n_ + m_;
    const double all = std::accumulate(squares_.begin(), squares_.end(), 0.0);
    for (size_t p = 0; p < count; ++p) {
      double square = 0, diagonal = 0;
      for (size_t f = 0; f < features_; ++f) {
        square += static_cast<double>(sums[p * features_ + f]) * sums[p * features_ + f];
      }
      for (size_t i = 0; i < size; ++i) diagonal += members[p * size + i] * squares_[i];
      // The features' sum over x is that over y with the other sign.
      mmd2[p] = Statistic(square - (all - diagonal), square - diagonal, -square,
                          static_cast<double>(n_), static_cast<double>(m_));
    }
  }

  std::vector<double> Witness(const std::vector<float>& weights) const override {
    const size_t size = n_ + m_;
    std::vector<float> sums(features_);
    rows_->Multiply(weights.data(), 1, sums.data(), features_);
    std::vector<double> values(size, 0.0);
    for (size_t f = 0; f < features_; ++f) {
      const float* row = values_.data() + f * size;
      for (size_t i = 0; i < size; ++i) values[i] += static_cast<double>(sums[f]) * row[i];
    }
    return values;
  }

 private:
  static void Center(float* values, size_t size) {
    double sum = 0;
    for (size_t i = 0; i < size; ++i) sum += values[i];
    const auto mean = static_cast<float>(sum / static_cast<double>(size));
    for (size_t i = 0; i < size; ++i) values[i] -= mean;
  }

  const size_t n_, m_, features_;
  std::vector<float> values_;    // features x pool
  std::vector<double> squares_;  // of each vector's features
  std::unique_ptr<PackedRows> rows_;
};

// The statistics of random assignments. Each task draws from its own seed, so that threads do not
// matter.
std::vector<double> Permute(const Kernel& kernel, size_t n, size_t m, const MmdOptions& options) {
  const size_t size = n + m, drawn = std::min(n, m);
  std::vector<double> null(options.permutations);
  Parallel((null.size() + kChunk - 1) / kChunk, options.threads, [&](size_t task) {
    const size_t first = task * kChunk, count = std::min(kChunk, null.size() - first);
    Random random(options.seed * 0x9e3779b97f4a7c15ULL + 0x5851f42d4c957f2dULL * (task + 1));
    std::vector<uint32_t> order(size);
    std::iota(order.begin(), order.end(), 0);
    const float mark = drawn == m ? 1 : 0;
    std::vector<float> members(count * size, 1 - mark);
    for (size_t p = 0; p < count; ++p) {
      for (size_t i = 0; i < drawn; ++i) {
        std::swap(order[i], order[i + random.Below(size - i)]);
        members[p * size + order[i]] = mark;
      }
    }
    kernel.Statistics(members.data(), count, null.data() + first);
  });
  return null;
}

double WitnessAuc(const Kernel& kernel, size_t n, size_t m, Random& random) {
  // Each sample's random half.
  std::vector<bool> half(n + m);
  const auto choose = [&](size_t from, size_t count) {
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), from);
    for (size_t i = 0; i < count / 2; ++i) {
      std::swap(order[i], order[i + random.Below(count - i)]);
      half[order[i]] = true;
    }
  };
  choose(0, n);
  choose(n, m);
  double auc = 0;
  for (const bool fitted : {true, false}) {
    const double of_x = static_cast<double>(fitted ? n / 2 : n - n / 2);
    const double of_y = static_cast<double>(fitted ? m / 2 : m - m / 2);
    std::vector<float> weights(n + m, 0.0f);
    for (size_t i = 0; i < n + m; ++i) {
      if (half[i] == fitted) weights[i] = static_cast<float>(i < n ? -1 / of_x : 1 / of_y);
    }
    const std::vector<double> values = kernel.Witness(weights);
    std::vector<double> x, y;
    for (size_t i = 0; i < n + m; ++i) {
      if (half[i] != fitted) (i < n ? x : y).push_back(values[i]);
    }
    auc += MannWhitney(x, y).auc / 2;
  }
  return auc;
}

}  // namespace

double PermutationP(double observed, std::span<const double> null) {
  ATTUNE_CHECK(!null.empty());
  const auto count = static_cast<double>(null.size());
  double far = 0, mean = 0;
  for (const double value : null) {
    far += value >= observed ? 1 : 0;
    mean += value / count;
  }
  const double p = (1 + far) / (1 + count);
  double variance = 0, third = 0;
  for (const double value : null) {
    variance += (value - mean) * (value - mean) / count;
    third += (value - mean) * (value - mean) * (value - mean) / count;
  }
  if (far >= 10 || variance <= 0) return p;
  const double z = (observed - mean) / std::sqrt(variance);
  const double skewness = third / std::pow(variance, 1.5);
  if (skewness < 1e-3) return NormalTail(z);
  const double shape = 4 / (skewness * skewness);
  const double at = shape + z * std::sqrt(shape);
  return at <= 0 ? p : cdf(complement(boost::math::gamma_distribution<>(shape), at));
}

MmdResult MaximumMeanDiscrepancy(std::span<const float> x, std::span<const float> y,
                                 size_t dimension, const MmdOptions& options) {
  ATTUNE_CHECK(dimension > 0 && x.size() % dimension == 0 && y.size() % dimension == 0);
  ATTUNE_CHECK(x.size() >= 4 * dimension && y.size() >= 4 * dimension);
  ATTUNE_CHECK(options.permutations > 0 && options.features >= 2);
  const Pool pool = MakePool(x, y, dimension);
  Random random(options.seed);
  MmdResult result;
  std::unique_ptr<Kernel> kernel;
  if (pool.size() <= options.exact_most) {
    kernel = std::make_unique<ExactKernel>(pool, &result.gamma, options.threads);
  } else {
    result.gamma = SampledGamma(pool, random, options.threads);
    kernel = std::make_unique<FourierKernel>(pool, result.gamma, options.features, random,
                                             options.threads);
  }
  std::vector<float> members(pool.size(), 0.0f);
  std::fill(members.begin() + static_cast<std::ptrdiff_t>(pool.n), members.end(), 1.0f);
  kernel->Statistics(members.data(), 1, &result.mmd2);
  result.p_value = PermutationP(result.mmd2, Permute(*kernel, pool.n, pool.m, options));
  result.auc = WitnessAuc(*kernel, pool.n, pool.m, random);
  return result;
}

}  // namespace attune::statistics
