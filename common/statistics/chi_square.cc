#include "common/statistics/chi_square.h"

#include <algorithm>
#include <boost/math/distributions/chi_squared.hpp>
#include <numeric>

#include "common/base/status.h"

namespace attune::statistics {
namespace {

double Sum(std::span<const double> counts) {
  return std::accumulate(counts.begin(), counts.end(), 0.0);
}

}  // namespace

ChiSquareResult ChiSquareOfHomogeneity(std::span<const double> a, std::span<const double> b) {
  ATTUNE_CHECK(a.size() == b.size());
  const double sum_a = Sum(a), sum_b = Sum(b), sum = sum_a + sum_b;
  ChiSquareResult result;
  size_t used = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double both = a[i] + b[i];
    if (both == 0) continue;
    ++used;
    const double expect_a = both * sum_a / sum, expect_b = both * sum_b / sum;
    if (expect_a > 0) result.statistic += (a[i] - expect_a) * (a[i] - expect_a) / expect_a;
    if (expect_b > 0) result.statistic += (b[i] - expect_b) * (b[i] - expect_b) / expect_b;
  }
  if (used < 2 || sum_a == 0 || sum_b == 0) return {};
  result.degrees = static_cast<double>(used - 1);
  result.p_value =
      cdf(complement(boost::math::chi_squared_distribution<>(result.degrees), result.statistic));
  return result;
}

CountTable MergeRare(const CountTable& table, double expected_min) {
  ATTUNE_CHECK(table.a.size() == table.b.size());
  const double sum_a = Sum(table.a), sum_b = Sum(table.b);
  // The least count of both samples together that gives the smaller one its expected count.
  const double least = expected_min * (sum_a + sum_b) / std::max(1e-300, std::min(sum_a, sum_b));
  CountTable merged;
  double rest_a = 0, rest_b = 0;
  bool any = false;
  for (size_t i = 0; i < table.a.size(); ++i) {
    if (table.a[i] + table.b[i] >= least) {
      merged.a.push_back(table.a[i]);
      merged.b.push_back(table.b[i]);
    } else {
      rest_a += table.a[i];
      rest_b += table.b[i];
      any = any || table.a[i] + table.b[i] > 0;
    }
  }
  if (!any) return merged;
  while (rest_a + rest_b < least && !merged.a.empty()) {
    size_t rarest = 0;
    for (size_t i = 1; i < merged.a.size(); ++i) {
      if (merged.a[i] + merged.b[i] < merged.a[rarest] + merged.b[rarest]) rarest = i;
    }
    const auto at = static_cast<std::ptrdiff_t>(rarest);
    rest_a += merged.a[rarest];
    rest_b += merged.b[rarest];
    merged.a.erase(merged.a.begin() + at);
    merged.b.erase(merged.b.begin() + at);
  }
  merged.a.push_back(rest_a);
  merged.b.push_back(rest_b);
  return merged;
}

}  // namespace attune::statistics
