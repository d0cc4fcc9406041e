#include "coordinator/drift/embeddings.h"

#include <cmath>
#include <string>

#include "common/statistics/logistic.h"
#include "common/statistics/mmd.h"
#include "coordinator/drift/correct.h"
#include "coordinator/drift/enough.h"

namespace attune::drift {
namespace {

Status CheckOne(const char* what, const Sample& sample) {
  if (sample.embeddings.empty()) return {};
  if (sample.dimension <= 0 ||
      sample.embeddings.size() % static_cast<size_t>(sample.dimension) != 0) {
    return InvalidArgument(std::string(what) + " has " + std::to_string(sample.embeddings.size()) +
                           " numbers of embeddings, which are no rows of " +
                           std::to_string(sample.dimension));
  }
  for (size_t i = 0; i < sample.embeddings.size(); ++i) {
    if (std::isfinite(sample.embeddings[i])) continue;
    const size_t row = i / static_cast<size_t>(sample.dimension);
    return InvalidArgument(std::string(what) + "'s embedding of example " +
                           (row < sample.ids.size() ? sample.ids[row] : std::to_string(row)) +
                           " is not finite: the model overflows on it");
  }
  return {};
}

v1::DetectorResult MakeResult(const char* detector, double statistic, double p, double auc) {
  v1::DetectorResult result;
  result.set_detector(detector);
  result.set_feature("embedding");
  result.set_statistic(statistic);
  result.set_p_value(p);
  result.set_effect(auc);
  result.set_effect_name(kAuc);
  return result;
}

}  // namespace

size_t EmbeddedExamples(const Sample& sample) {
  return sample.dimension > 0 ? sample.embeddings.size() / static_cast<size_t>(sample.dimension)
                              : 0;
}

Status CheckEmbeddings(const Sample& reference, const Sample& window) {
  ATTUNE_RETURN_IF_ERROR(CheckOne("the reference", reference));
  ATTUNE_RETURN_IF_ERROR(CheckOne("the window", window));
  if (!reference.embeddings.empty() && !window.embeddings.empty() &&
      reference.dimension != window.dimension) {
    return InvalidArgument("the reference's embeddings have " +
                           std::to_string(reference.dimension) + " numbers, the window's " +
                           std::to_string(window.dimension) +
                           ": they are of different models; measure both by one");
  }
  return {};
}

Standardizer::Standardizer(std::span<const std::span<const float>> samples, size_t dimension)
    : mean_(dimension, 0.0), scale_(dimension, 0.0) {
  double count = 0;
  for (const std::span<const float> rows : samples) {
    count += static_cast<double>(rows.size() / dimension);
    for (size_t i = 0; i < rows.size(); ++i) mean_[i % dimension] += rows[i];
  }
  for (double& mean : mean_) mean /= count;
  for (const std::span<const float> rows : samples) {
    for (size_t i = 0; i < rows.size(); ++i) {
      const double off = rows[i] - mean_[i % dimension];
      scale_[i % dimension] += off * off / count;
    }
  }
  for (size_t k = 0; k < dimension; ++k) {
    const double spread = std::sqrt(scale_[k]);
    // A spread within rounding of the values is none.
    scale_[k] = spread > 1e-6 * std::abs(mean_[k]) && spread > 1e-30 ? 1 / spread : 0;
  }
}

std::vector<float> Standardizer::operator()(std::span<const float> rows) const {
  std::vector<float> standardised(rows.size());
  const size_t dimension = mean_.size();
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t k = i % dimension;
    standardised[i] = static_cast<float>((rows[i] - mean_[k]) * scale_[k]);
  }
  return standardised;
}

Status DetectEmbeddings(const Sample& reference, const Sample& window, const DetectOptions& options,
                        std::vector<v1::DetectorResult>* results) {
  ATTUNE_RETURN_IF_ERROR(CheckEmbeddings(reference, window));
  if (EmbeddedExamples(reference) < kEmbeddingsLeast ||
      EmbeddedExamples(window) < kEmbeddingsLeast) {
    return {};
  }
  const auto dimension = static_cast<size_t>(reference.dimension);
  const std::span<const float> both[] = {reference.embeddings, window.embeddings};
  const Standardizer standardize(both, dimension);
  const std::vector<float> x = standardize(reference.embeddings);
  const std::vector<float> y = standardize(window.embeddings);
  statistics::MmdOptions mmd_options;
  mmd_options.seed = options.seed;
  mmd_options.threads = options.threads;
  const statistics::MmdResult mmd =
      statistics::MaximumMeanDiscrepancy(x, y, dimension, mmd_options);
  results->push_back(MakeResult("mmd", mmd.mmd2, mmd.p_value, mmd.auc));
  statistics::DomainClassifierOptions classifier_options;
  classifier_options.seed = options.seed;
  classifier_options.threads = options.threads;
  const statistics::DomainClassifierResult classifier =
      statistics::DomainClassifier(x, y, dimension, classifier_options);
  results->push_back(
      MakeResult("domain_classifier", classifier.auc, classifier.p_value, classifier.auc));
  return {};
}

}  // namespace attune::drift
