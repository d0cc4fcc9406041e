#include "common/statistics/distances.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>
#include <vector>

#include "common/base/status.h"

namespace attune::statistics {
namespace {

std::vector<double> Sorted(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

// The integral of height(F, G) over all values, F and G the empirical distribution functions.
double Integrate(std::span<const double> a, std::span<const double> b,
                 const std::function<double(double f, double g)>& height) {
  ATTUNE_CHECK(!a.empty() && !b.empty());
  const std::vector<double> x = Sorted(a), y = Sorted(b);
  double sum = 0, at = std::min(x.front(), y.front());
  for (size_t i = 0, j = 0; i < x.size() || j < y.size();) {
    const bool of_x = j == y.size() || (i < x.size() && x[i] <= y[j]);
    const double next = of_x ? x[i] : y[j];
    if (next > at) {
      sum += (next - at) * height(static_cast<double>(i) / static_cast<double>(x.size()),
                                  static_cast<double>(j) / static_cast<double>(y.size()));
    }
    at = next;
    ++(of_x ? i : j);
  }
  return sum;
}

// Kullback and Leibler's divergence of p from the mean of p and q.
double FromTheMean(std::span<const double> p, double p_sum, std::span<const double> q,
                   double q_sum) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double share = p[i] / p_sum, mean = (share + q[i] / q_sum) / 2;
    if (share > 0) sum += share * std::log(share / mean);
  }
  return sum;
}

}  // namespace

double Beyond(double distance, double of_chance) {
  return std::sqrt(std::max(0.0, distance * distance - of_chance * of_chance));
}

double Wasserstein(std::span<const double> a, std::span<const double> b) {
  return Integrate(a, b, [](double f, double g) { return std::abs(f - g); });
}

double WassersteinOfChance(std::span<const double> a, std::span<const double> b) {
  const auto n = static_cast<double>(a.size()), m = static_cast<double>(b.size());
  return Integrate(a, b, [&](double f, double g) {
    const double h = (n * f + m * g) / (n + m);
    // The mean of what is normal with variance v, without its sign, is sqrt(2 v / pi).
    return std::sqrt(2 / std::numbers::pi * h * (1 - h) * (1 / n + 1 / m));
  });
}

double JensenShannon(std::span<const double> a, std::span<const double> b) {
  ATTUNE_CHECK(a.size() == b.size());
  const double of_a = std::accumulate(a.begin(), a.end(), 0.0);
  const double of_b = std::accumulate(b.begin(), b.end(), 0.0);
  ATTUNE_CHECK(of_a > 0 && of_b > 0);
  const double divergence = (FromTheMean(a, of_a, b, of_b) + FromTheMean(b, of_b, a, of_a)) / 2;
  return std::sqrt(std::max(0.0, divergence));
}

double JensenShannonOfChance(size_t categories, double n, double m) {
  if (categories < 2) return 0;
  return std::sqrt(static_cast<double>(categories - 1) / 8 * (1 / n + 1 / m));
}

}  // namespace attune::statistics
