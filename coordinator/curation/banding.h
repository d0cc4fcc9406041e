#pragma once

// Which pairs of signatures are looked at and which of them count, as functions of the threshold
// (locality-sensitive hashing by bands: Indyk and Motwani 1998; Leskovec, Rajaraman, Ullman,
// "Mining of Massive Datasets", chapter 3.4). Pure.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "coordinator/curation/signature.h"

namespace attune::curation {

inline constexpr double kThresholdDefault = 0.8;
inline constexpr double kThresholdMin = 0.5, kThresholdMax = 1;

// A pair is looked at when all bytes of one of the bands are equal.
struct Banding {
  size_t bands;
  size_t bytes;  // of each
};

// The fewest bands for which a pair at the threshold is looked at with a probability of 0.99 or
// more; 21 bands of 6 for 0.8.
Banding BandingFor(double threshold);

// 1 - (1 - J^bytes)^bands. Bytes that agree by chance are left out: they make it a little more.
double CandidateProbability(const Banding& banding, double similarity);

// A pair that is looked at counts when Similarity() is at least this: the threshold less one
// standard deviation of the estimate, so that most pairs at the threshold count.
double AcceptedSimilarity(double threshold);

// That a pair of so similar texts is found to be near-duplicates.
double FoundProbability(double threshold, double similarity);

// A key for each band; equal bands at the same place have equal keys.
void AppendBandKeys(const Banding& banding, const Signature& signature,
                    std::vector<uint64_t>* keys);

}  // namespace attune::curation
