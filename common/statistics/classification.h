#pragma once

// Of labels that were chosen against those that are right: both as functions of sums, so that the
// bootstrap can take them (bootstrap.h).

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/statistics/bootstrap.h"

namespace attune::statistics {

// Mean over the classes of 2 TP / (2 TP + FP + FN), no weights; a class that occurs neither as a
// label nor as a prediction is no class, and one without a true positive counts 0. sklearn:
// f1_score(average="macro") over the labels that occur. counts: for each class, the number of its
// labels, of its predictions and of both together (MacroF1Terms).
double MacroF1(std::span<const double> counts);
inline size_t MacroF1Sums(size_t classes) {
  return 3 * classes;
}
// What an example adds; first: where its model's counts begin among the sums.
void AddMacroF1Terms(size_t first, size_t label, size_t predicted,
                     std::vector<SumSample::Term>* terms);

// Expected calibration error (Guo et al. 2017): 15 bins of equal width over the confidence of the
// chosen label, (lower, upper]; the mean over examples of |share right - mean confidence| of their
// bin. In [0, 1], lower is better. sums: for each bin, examples, confidences, right ones.
inline constexpr size_t kCalibrationBins = 15;
inline constexpr size_t kCalibrationSums = 3 * kCalibrationBins;
double CalibrationError(std::span<const double> sums);
void AddCalibrationTerms(size_t first, double confidence, bool right,
                         std::vector<SumSample::Term>* terms);

}  // namespace attune::statistics
