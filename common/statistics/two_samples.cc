#include "common/statistics/two_samples.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace attune::statistics {
namespace {

// max |i/n - j/m| over the merged samples, times n m.
int64_t ScaledDistance(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<int64_t>(a.size()), m = static_cast<int64_t>(b.size());
  int64_t i = 0, j = 0, most = 0;
  while (i < n && j < m) {
    const double value = std::min(a[static_cast<size_t>(i)], b[static_cast<size_t>(j)]);
    while (i < n && a[static_cast<size_t>(i)] <= value) ++i;
    while (j < m && b[static_cast<size_t>(j)] <= value) ++j;
    most = std::max(most, std::abs(i * m - j * n));
  }
  return most;
}

// The chance that a path of n steps right and m up, all orders alike, comes to a point (i, j) with
// |i m - j n| >= distance. All terms are positive, so small chances are as exact as large ones.
double PathTail(int64_t n, int64_t m, int64_t distance) {
  std::vector<double> inverse(static_cast<size_t>(n + m + 1), 0.0);
  for (size_t i = 1; i < inverse.size(); ++i) inverse[i] = 1.0 / static_cast<double>(i);
  std::vector<double> tail(static_cast<size_t>(m + 1), 0.0);
  for (int64_t j = 1; j <= m; ++j) {
    tail[static_cast<size_t>(j)] = j * n >= distance ? 1.0 : tail[static_cast<size_t>(j - 1)];
  }
  for (int64_t i = 1; i <= n; ++i) {
    if (i * m >= distance) tail[0] = 1.0;
    for (int64_t j = 1; j <= m; ++j) {
      const auto at = static_cast<size_t>(j);
      if (std::abs(i * m - j * n) >= distance) {
        tail[at] = 1.0;
      } else {
        tail[at] = (static_cast<double>(i) * tail[at] + static_cast<double>(j) * tail[at - 1]) *
                   inverse[static_cast<size_t>(i + j)];
      }
    }
  }
  return tail.back();
}

double KolmogorovTail(double x) {
  if (x < 0.2) return 1;
  double sum = 0, sign = 1;
  for (int k = 1; k <= 100; ++k, sign = -sign) {
    const double term = std::exp(-2.0 * k * k * x * x);
    sum += sign * term;
    if (term < 1e-17 * std::abs(sum)) break;
  }
  return std::clamp(2 * sum, 0.0, 1.0);
}

}  // namespace

double NormalTail(double z) {
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

KsResult KolmogorovSmirnov(std::span<const double> a, std::span<const double> b) {
  ATTUNE_CHECK(!a.empty() && !b.empty());
  std::vector<double> x(a.begin(), a.end()), y(b.begin(), b.end());
  std::sort(x.begin(), x.end());
  std::sort(y.begin(), y.end());
  const int64_t distance = ScaledDistance(x, y);
  const auto n = static_cast<double>(x.size()), m = static_cast<double>(y.size());
  KsResult result;
  result.distance = static_cast<double>(distance) / (n * m);
  if (distance == 0) return result;
  if (n * m <= kKsExactMost) {
    result.p_value =
        PathTail(static_cast<int64_t>(x.size()), static_cast<int64_t>(y.size()), distance);
  } else {
    const double root = std::sqrt(n * m / (n + m));
    result.p_value = KolmogorovTail((root + 0.12 + 0.11 / root) * result.distance);
  }
  return result;
}

MannWhitneyResult MannWhitney(std::span<const double> a, std::span<const double> b) {
  ATTUNE_CHECK(!a.empty() && !b.empty());
  std::vector<std::pair<double, bool>> all;  // value, whether of b
  all.reserve(a.size() + b.size());
  for (const double value : a) all.emplace_back(value, false);
  for (const double value : b) all.emplace_back(value, true);
  std::sort(all.begin(), all.end());
  const auto n = static_cast<double>(a.size()), m = static_cast<double>(b.size());
  double above = 0, ties = 0;  // pairs where b is above a; sum of t^3 - t
  double below_a = 0;          // values of a below the group of equal ones
  for (size_t i = 0; i < all.size();) {
    size_t end = i;
    double of_a = 0, of_b = 0;
    for (; end < all.size() && all[end].first == all[i].first; ++end) {
      (all[end].second ? of_b : of_a) += 1;
    }
    above += of_b * (below_a + 0.5 * of_a);
    below_a += of_a;
    const auto group = static_cast<double>(end - i);
    ties += group * group * group - group;
    i = end;
  }
  MannWhitneyResult result;
  result.auc = above / (n * m);
  const double variance = n * m / 12 * ((n + m + 1) - ties / ((n + m) * (n + m - 1)));
  if (variance <= 0) return result;
  result.z = (above - n * m / 2 - 0.5) / std::sqrt(variance);
  result.p_value = NormalTail(result.z);
  return result;
}

}  // namespace attune::statistics
