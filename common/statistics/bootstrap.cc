#include "common/statistics/bootstrap.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <numeric>

#include "common/base/hash.h"
#include "common/base/status.h"

namespace attune::statistics {
namespace {

double NormalCdf(double z) {
  return cdf(boost::math::normal_distribution<>(), z);
}
double NormalQuantile(double p) {
  return quantile(boost::math::normal_distribution<>(), p);
}

// Linear between the order statistics, as numpy's percentile.
double QuantileOf(const std::vector<double>& sorted, double p) {
  const double place = p * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double share = place - static_cast<double>(below);
  return sorted[below] + (sorted[below + 1] - sorted[below]) * share;
}

double Acceleration(const std::vector<double>& jackknife) {
  const double n = static_cast<double>(jackknife.size());
  const double mean = std::accumulate(jackknife.begin(), jackknife.end(), 0.0) / n;
  double squares = 0, cubes = 0;
  for (double value : jackknife) {
    const double influence = (n - 1) * (mean - value) / n;
    squares += influence * influence;
    cubes += influence * influence * influence;
  }
  const double acceleration = cubes / (6 * std::pow(squares, 1.5));
  return std::isfinite(acceleration) ? acceleration : 0;
}

// The share of the resamples that the corrected interval's end stands at.
double CorrectedTail(double bias, double acceleration, double z) {
  const double moved = bias + z;
  const double scale = 1 - acceleration * moved;
  if (scale <= 0) return moved > 0 ? 1 : 0;  // beyond the transformation's pole
  return NormalCdf(bias + moved / scale);
}

std::vector<double> Jackknife(const SumSample& sample, const SumFunction& statistic) {
  std::vector<double> values(sample.examples());
  std::vector<double> sums = sample.totals();
  for (size_t i = 0; i < values.size(); ++i) {
    for (const auto& [sum, amount] : sample.terms(i)) sums[sum] -= amount;
    values[i] = statistic(sums);
    for (const auto& [sum, amount] : sample.terms(i)) sums[sum] = sample.totals()[sum];
  }
  return values;
}

double Deviation(const std::vector<double>& values) {
  const double n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (n - 1));
}

}  // namespace

void SumSample::Add(std::span<const Term> terms) {
  for (const Term& term : terms) {
    ATTUNE_CHECK(term.first < totals_.size());
    terms_.push_back(term);
    totals_[term.first] += term.second;
  }
  ends_.push_back(terms_.size());
}

std::span<const SumSample::Term> SumSample::terms(size_t example) const {
  const size_t begin = example == 0 ? 0 : ends_[example - 1];
  return {terms_.data() + begin, ends_[example] - begin};
}

BootstrapResult BootstrapBca(const SumSample& sample, const SumFunction& statistic,
                             const BootstrapOptions& options) {
  ATTUNE_CHECK(sample.examples() >= 2 && options.resamples >= 2);
  const double n = static_cast<double>(sample.examples());
  BootstrapResult result;
  result.estimate = statistic(sample.totals());
  Random random(options.seed);
  std::vector<double> resampled(options.resamples);
  std::vector<double> sums(sample.totals().size());
  for (double& value : resampled) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (size_t i = 0; i < sample.examples(); ++i) {
      for (const auto& [sum, amount] : sample.terms(random.Below(sample.examples()))) {
        sums[sum] += amount;
      }
    }
    value = statistic(sums);
  }
  result.standard_error = Deviation(resampled);
  const std::vector<double> jackknife = Jackknife(sample, statistic);
  // Its values vary by 1 / (n - 1) of what an example contributes.
  result.jackknife_error = Deviation(jackknife) * (n - 1) / std::sqrt(n);
  result.interval =
      BcaInterval(result.estimate, std::move(resampled), jackknife, options.confidence);
  return result;
}

Interval BcaInterval(double estimate, std::vector<double> resampled,
                     const std::vector<double>& jackknife, double confidence) {
  ATTUNE_CHECK(confidence > 0 && confidence < 1);
  std::sort(resampled.begin(), resampled.end());
  const double count = static_cast<double>(resampled.size());
  const auto [low, high] = std::equal_range(resampled.begin(), resampled.end(), estimate);
  const double below = (static_cast<double>(low - resampled.begin()) +
                        static_cast<double>(high - resampled.begin())) /
                       (2 * count);
  const double bias = NormalQuantile(std::clamp(below, 0.5 / count, 1 - 0.5 / count));
  const double acceleration = Acceleration(jackknife);
  const double z = NormalQuantile((1 - confidence) / 2);
  return {QuantileOf(resampled, CorrectedTail(bias, acceleration, z)),
          QuantileOf(resampled, CorrectedTail(bias, acceleration, -z))};
}

uint32_t Resamples(size_t examples) {
  constexpr size_t kMost = 9999, kLeast = 1999, kDraws = 50'000'000;
  return static_cast<uint32_t>(std::clamp(kDraws / std::max<size_t>(examples, 1), kLeast, kMost));
}

double ExpandedConfidence(double confidence, double examples) {
  ATTUNE_CHECK(examples > 1 && confidence > 0 && confidence < 1);
  const boost::math::students_t_distribution<> student(examples - 1);
  const double t = quantile(complement(student, (1 - confidence) / 2));
  const double tail = NormalCdf(-std::sqrt(examples / (examples - 1)) * t);
  return std::clamp(1 - 2 * tail, 1e-12, 1 - 1e-12);
}

Interval StudentInterval(double estimate, double standard_error, double examples,
                         double confidence) {
  ATTUNE_CHECK(examples > 1 && confidence > 0 && confidence < 1);
  const boost::math::students_t_distribution<> student(examples - 1);
  const double half = quantile(complement(student, (1 - confidence) / 2)) * standard_error;
  return {estimate - half, estimate + half};
}

double EffectiveExamples(std::span<const double> weights) {
  double sum = 0, squares = 0;
  for (double weight : weights) sum += weight, squares += weight * weight;
  return squares > 0 ? sum * sum / squares : 0;
}

size_t NeededExamples(double deviation, double distance, double confidence, double power) {
  if (!(distance > 0)) return SIZE_MAX;
  const double root = (NormalQuantile(confidence) + NormalQuantile(power)) * deviation / distance;
  const double needed = std::ceil(root * root);
  return needed < 1e15 ? static_cast<size_t>(needed) : SIZE_MAX;
}

}  // namespace attune::statistics
