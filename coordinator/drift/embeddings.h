#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "coordinator/drift/detect.h"

namespace attune::drift {

// Rows of a sample's embeddings; 0 when there are none.
size_t EmbeddedExamples(const Sample& sample);

// kInvalidArgument unless both samples' embeddings are n x dimension, of one dimension, and finite.
Status CheckEmbeddings(const Sample& reference, const Sample& window);

// What makes each column's mean 0 and variance 1 over some rows, since hidden states have a few
// columns that are far larger than all others and would be all that distances see. Columns that do
// not vary become 0.
class Standardizer {
 public:
  Standardizer(std::span<const std::span<const float>> samples, size_t dimension);
  std::vector<float> operator()(std::span<const float> rows) const;

 private:
  std::vector<double> mean_, scale_;
};

// The detectors of embeddings: "mmd" and "domain_classifier"; none when a sample has fewer than 50.
// Columns are standardised over both samples together, which permutations leave as it is.
Status DetectEmbeddings(const Sample& reference, const Sample& window, const DetectOptions& options,
                        std::vector<v1::DetectorResult>* results);

}  // namespace attune::drift
