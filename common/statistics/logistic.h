#pragma once

// How well a linear classifier tells two samples of vectors apart: a domain classifier
// (Lopez-Paz, Oquab 2017; Rabanser, Guennemann, Lipton 2019, "Failing Loudly").

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace attune::statistics {

struct LogisticModel {
  std::vector<double> weights;
  double intercept = 0;
};

// Minimises |w|^2 / 2 + c sum log(1 + exp(-s (w x + intercept))) by L-BFGS (Liu, Nocedal 1989),
// over the rows of x (of the dimension) that are named; s is 1 where the row's label is set, else
// -1. scikit-learn: LogisticRegression(C=c).
LogisticModel FitLogistic(std::span<const float> x, size_t dimension, std::span<const size_t> rows,
                          const std::vector<bool>& labels, double c, double tolerance = 1e-4);

struct DomainClassifierOptions {
  size_t folds = 5;
  // Strong: with c = 1 a few hundred examples of a few hundred numbers are learned by heart.
  double c = 0.01;
  size_t examples_most = 5000;  // of each sample: a random part of a larger one
  uint64_t seed = 0;
  int threads = 2;
};

struct DomainClassifierResult {
  // Chance that an example of y has a higher score than one of x, by classifiers that saw neither:
  // the mean over folds.
  double auc = 0.5;
  // Each fold but the first is scored by a classifier of the folds before it alone, and the z of
  // their Mann-Whitney tests are added, weighted by the root of what was learned from. Given the
  // folds before, each is that of a fresh sample, so the sum is normal when nothing differs
  // (prequential testing: Dawid 1984; Podkopaev, Ramdas 2023). The test of all out-of-fold scores
  // together, which is often seen, is not: each pair of examples counts in both directions, which
  // doubles the variance.
  double p_value = 1;
};

// Rows of the same dimension, each column of about mean 0 and variance 1; at least `folds` rows in
// each sample. The same numbers whatever the threads.
DomainClassifierResult DomainClassifier(std::span<const float> x, std::span<const float> y,
                                        size_t dimension, const DomainClassifierOptions& options);

}  // namespace attune::statistics
