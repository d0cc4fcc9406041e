#include "common/statistics/logistic.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

#include "common/base/hash.h"
#include "common/base/parallel_for.h"
#include "common/base/status.h"
#include "common/statistics/two_samples.h"

namespace attune::statistics {
namespace {

using Vector = std::vector<double>;

double Dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

float Dot(const float* a, const float* b, size_t count) {
#pragma clang fp reassociate(on)
  float sum = 0;
  for (size_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

// The objective of FitLogistic over weights and, last, the intercept.
class Objective {
 public:
  Objective(std::span<const float> x, size_t dimension, std::span<const size_t> rows,
            const std::vector<bool>& labels, double c)
      : x_(x), dimension_(dimension), rows_(rows), labels_(labels), c_(c) {}

  double operator()(const Vector& at, Vector* gradient) const {
    const std::vector<float> weights(at.begin(), at.end() - 1);
    std::vector<float> slope(dimension_, 0.0f);
    double loss = 0, intercept_slope = 0;
    for (const size_t row : rows_) {
      const float* values = x_.data() + row * dimension_;
      const double sign = labels_[row] ? 1 : -1;
      const double margin = sign * (Dot(values, weights.data(), dimension_) + at.back());
      // log(1 + exp(-margin)) and its derivative, without overflow.
      const double e = std::exp(-std::abs(margin));
      loss += std::log1p(e) + std::max(0.0, -margin);
      const double wrong = margin > 0 ? e / (1 + e) : 1 / (1 + e);
      intercept_slope -= sign * wrong;
      const auto factor = static_cast<float>(-sign * wrong);
      for (size_t k = 0; k < dimension_; ++k) slope[k] += factor * values[k];
    }
    double square = 0;
    for (size_t k = 0; k < dimension_; ++k) {
      square += at[k] * at[k];
      (*gradient)[k] = at[k] + c_ * slope[k];
    }
    gradient->back() = c_ * intercept_slope;
    return square / 2 + c_ * loss;
  }

 private:
  const std::span<const float> x_;
  const size_t dimension_;
  const std::span<const size_t> rows_;
  const std::vector<bool>& labels_;
  const double c_;
};

struct Correction {
  Vector step, change;
  double inverse;  // 1 / (step . change)
};

// The two-loop recursion: the direction down by what the last steps say of the curvature.
Vector Direction(const Vector& gradient, const std::deque<Correction>& history) {
  Vector direction = gradient;
  Vector alphas;
  for (auto past = history.rbegin(); past != history.rend(); ++past) {
    alphas.push_back(past->inverse * Dot(past->step, direction));
    for (size_t k = 0; k < direction.size(); ++k) direction[k] -= alphas.back() * past->change[k];
  }
  if (!history.empty()) {
    const Correction& last = history.back();
    const double scale = 1 / (last.inverse * Dot(last.change, last.change));
    for (double& value : direction) value *= scale;
  }
  for (const Correction& past : history) {
    const double beta = past.inverse * Dot(past.change, direction);
    for (size_t k = 0; k < direction.size(); ++k) {
      direction[k] += past.step[k] * (alphas.back() - beta);
    }
    alphas.pop_back();
  }
  for (double& value : direction) value = -value;
  return direction;
}

double Largest(const Vector& values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

// Fold of each row, each sample spread evenly over the folds.
std::vector<size_t> ChooseFolds(size_t n, size_t m, size_t folds, Random& random) {
  std::vector<size_t> fold(n + m);
  const auto spread = [&](size_t from, size_t count) {
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), from);
    for (size_t i = 0; i < count; ++i) {
      std::swap(order[i], order[i + random.Below(count - i)]);
      fold[order[i]] = i % folds;
    }
  };
  spread(0, n);
  spread(n, m);
  return fold;
}

// A random part of the rows where there are more than `most`.
std::vector<float> Part(std::span<const float> rows, size_t dimension, size_t most,
                        Random& random) {
  const size_t count = rows.size() / dimension;
  if (count <= most) return {rows.begin(), rows.end()};
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::vector<float> part;
  for (size_t i = 0; i < most; ++i) {
    std::swap(order[i], order[i + random.Below(count - i)]);
    const auto row = rows.subspan(order[i] * dimension, dimension);
    part.insert(part.end(), row.begin(), row.end());
  }
  return part;
}

}  // namespace

LogisticModel FitLogistic(std::span<const float> x, size_t dimension, std::span<const size_t> rows,
                          const std::vector<bool>& labels, double c, double tolerance) {
  constexpr int kIterationsMost = 200;
  constexpr size_t kHistory = 10;
  const Objective objective(x, dimension, rows, labels, c);
  Vector at(dimension + 1, 0.0), gradient(dimension + 1), next_gradient(dimension + 1);
  double value = objective(at, &gradient);
  std::deque<Correction> history;
  for (int i = 0; i < kIterationsMost && Largest(gradient) > tolerance; ++i) {
    const Vector direction = Direction(gradient, history);
    const double slope = Dot(direction, gradient);
    double length = history.empty() ? std::min(1.0, 1 / std::sqrt(Dot(gradient, gradient))) : 1.0;
    Vector next(at.size());
    double next_value = value;
    bool lower = false;
    for (int halving = 0; halving < 30 && !lower; ++halving, length /= 2) {
      for (size_t k = 0; k < at.size(); ++k) next[k] = at[k] + length * direction[k];
      next_value = objective(next, &next_gradient);
      lower = next_value <= value + 1e-4 * length * slope;
    }
    if (!lower) break;  // as low as single precision sees
    Correction correction{Vector(at.size()), Vector(at.size()), 0};
    for (size_t k = 0; k < at.size(); ++k) {
      correction.step[k] = next[k] - at[k];
      correction.change[k] = next_gradient[k] - gradient[k];
    }
    const double curvature = Dot(correction.step, correction.change);
    if (curvature > 1e-12) {
      correction.inverse = 1 / curvature;
      history.push_back(std::move(correction));
      if (history.size() > kHistory) history.pop_front();
    }
    at = next;
    gradient = next_gradient;
    value = next_value;
  }
  const double intercept = at.back();
  at.pop_back();
  return {std::move(at), intercept};
}

DomainClassifierResult DomainClassifier(std::span<const float> x, std::span<const float> y,
                                        size_t dimension, const DomainClassifierOptions& options) {
  ATTUNE_CHECK(dimension > 0 && options.folds >= 2);
  Random random(options.seed);
  std::vector<float> rows = Part(x, dimension, options.examples_most, random);
  const std::vector<float> part = Part(y, dimension, options.examples_most, random);
  const size_t n = rows.size() / dimension, m = part.size() / dimension;
  ATTUNE_CHECK(n >= options.folds && m >= options.folds);
  rows.insert(rows.end(), part.begin(), part.end());
  std::vector<bool> labels(n + m, false);
  for (size_t i = n; i < n + m; ++i) labels[i] = true;
  const std::vector<size_t> fold = ChooseFolds(n, m, options.folds, random);
  // First those whose classifier sees all other folds, then those that see the folds before.
  std::vector<MannWhitneyResult> tests(2 * options.folds);
  const Status fitted = ParallelFor(tests.size(), options.threads, [&](size_t task) {
    const size_t out = task % options.folds;
    const bool before_only = task >= options.folds;
    if (before_only && out == 0) return Status();
    std::vector<size_t> training;
    for (size_t i = 0; i < n + m; ++i) {
      if (before_only ? fold[i] < out : fold[i] != out) training.push_back(i);
    }
    const LogisticModel model =
        FitLogistic(rows, dimension, training, labels, options.c, /*tolerance=*/1e-2);
    const std::vector<float> weights(model.weights.begin(), model.weights.end());
    std::vector<double> of_x, of_y;
    for (size_t i = 0; i < n + m; ++i) {
      if (fold[i] != out) continue;
      const float score = Dot(rows.data() + i * dimension, weights.data(), dimension);
      (labels[i] ? of_y : of_x).push_back(score);
    }
    tests[task] = MannWhitney(of_x, of_y);
    return Status();
  });
  ATTUNE_CHECK(fitted.ok());
  DomainClassifierResult result{0, 1};
  double sum = 0, weights = 0;
  for (size_t out = 0; out < options.folds; ++out) {
    result.auc += tests[out].auc / static_cast<double>(options.folds);
    sum += std::sqrt(static_cast<double>(out)) * tests[options.folds + out].z;
    weights += static_cast<double>(out);
  }
  result.p_value = NormalTail(sum / std::sqrt(weights));
  return result;
}

}  // namespace attune::statistics
