#include "common/statistics/classification.h"

#include <algorithm>
#include <cmath>

namespace attune::statistics {

double MacroF1(std::span<const double> counts) {
  double sum = 0;
  size_t classes = 0;
  for (size_t i = 0; i + 2 < counts.size(); i += 3) {
    const double labels = counts[i], predictions = counts[i + 1], both = counts[i + 2];
    if (labels + predictions <= 0) continue;
    ++classes;
    sum += 2 * both / (labels + predictions);
  }
  return classes == 0 ? 0 : sum / static_cast<double>(classes);
}

void AddMacroF1Terms(size_t first, size_t label, size_t predicted,
                     std::vector<SumSample::Term>* terms) {
  terms->emplace_back(first + 3 * label, 1.0);
  terms->emplace_back(first + 3 * predicted + 1, 1.0);
  if (label == predicted) terms->emplace_back(first + 3 * label + 2, 1.0);
}

double CalibrationError(std::span<const double> sums) {
  double gap = 0, examples = 0;
  for (size_t i = 0; i + 2 < sums.size(); i += 3) {
    examples += sums[i];
    if (sums[i] > 0) gap += std::abs(sums[i + 2] - sums[i + 1]);
  }
  return examples > 0 ? gap / examples : 0;
}

void AddCalibrationTerms(size_t first, double confidence, bool right,
                         std::vector<SumSample::Term>* terms) {
  const double place = std::ceil(confidence * kCalibrationBins) - 1;
  const size_t bin = static_cast<size_t>(std::clamp(place, 0.0, kCalibrationBins - 1.0));
  terms->emplace_back(first + 3 * bin, 1.0);
  terms->emplace_back(first + 3 * bin + 1, confidence);
  if (right) terms->emplace_back(first + 3 * bin + 2, 1.0);
}

}  // namespace attune::statistics
