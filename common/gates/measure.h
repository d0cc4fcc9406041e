#pragma once

// What examples say of a metric, with bounds.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/gates/metric.h"
#include "common/statistics/proportion.h"

namespace attune::gates {

// Below so many, an interval would rest on its assumptions rather than on the examples.
inline constexpr size_t kMinExamples = 10;

struct Measured {
  uint64_t examples = 0;  // that have something to say
  double candidate = 0;   // the metric
  double champion = 0;
  double value = 0;  // the metric, or by how much the candidate is worse
  // One-sided bounds of value, each at the confidence; value itself when none were asked for or
  // there are fewer than kMinExamples.
  statistics::Interval bounds;
  double deviation = 0;  // of what one example contributes, for NeededExamples
  std::string method;    // "paired bootstrap (BCa)", ...; empty: no interval
  std::string note;      // for 0/1 scores: McNemar's p
};

// Of the bootstrap.
struct Sampling {
  uint64_t seed = 0;
  uint32_t resamples = 0;  // 0: statistics::Resamples
};

// confidence: 0, or in (0.5, 1), one-sided. No examples: all zero.
//
// 0/1 scores have Clopper-Pearson bounds, everything else the wider of the bootstrap's, with its
// level widened for few examples, and Student's (a loss's examples count by their tokens:
// EffectiveExamples). A bounded score that nearly all examples
// share, and labels that are nearly all right or that both models predict alike, would leave a
// bootstrap without anything to draw: the bounds then are not inside of what the few others allow.
Result<Measured> MeasureCandidate(const Metric& metric, const std::vector<Pair>& pairs,
                                  double confidence, const Sampling& sampling);
// Paired. 0/1 scores have Tango's bounds, everything else the paired bootstrap's.
Result<Measured> MeasureDifference(const Metric& metric, const std::vector<Pair>& pairs,
                                   double confidence, const Sampling& sampling);

}  // namespace attune::gates
