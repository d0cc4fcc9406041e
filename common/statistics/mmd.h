#pragma once

// Whether two samples of vectors come from one distribution, whatever the difference: the maximum
// mean discrepancy with a Gaussian kernel (Gretton, Borgwardt, Rasch, Schoelkopf, Smola 2012, JMLR
// 13), unbiased, tested by permutations.

#include <cstddef>
#include <cstdint>
#include <span>

namespace attune::statistics {

struct MmdOptions {
  size_t permutations = 999;
  // Up to so many vectors in both samples together, the kernel itself; above, its approximation by
  // random Fourier features (Rahimi, Recht 2007), which makes the work linear in the vectors
  // (FastMMD: Zhao, Meng 2015). A permutation test of features is as valid as one of kernels.
  size_t exact_most = 2000;
  size_t features = 1024;  // half cosines, half sines
  uint64_t seed = 0;
  int threads = 2;
};

struct MmdResult {
  double mmd2 = 0;  // alibi-detect: mmd2_from_kernel_matrix
  double gamma =
      0;  // of the kernel exp(-gamma |a - b|^2): 1 / median |a - b|^2 over the pooled pairs
  // (1 + permutations at least as far) / (1 + permutations), which holds its level exactly. Where
  // fewer than ten are as far, the tail of a Pearson type III distribution with the permutations'
  // mean, variance and skewness, since levels lie below 1 / permutations.
  double p_value = 1;
  // Chance that the witness function, fitted on a random half of both samples, is higher at a
  // vector of the other half of y than at one of x: 0.5 when nothing differs.
  double auc = 0.5;
};

// Rows of the same dimension; at least four in each. The same numbers whatever the threads.
MmdResult MaximumMeanDiscrepancy(std::span<const float> x, std::span<const float> y,
                                 size_t dimension, const MmdOptions& options);

// Of the statistic under permutations, as MmdResult.p_value. null is not empty.
double PermutationP(double observed, std::span<const double> null);

}  // namespace attune::statistics
