#pragma once

// Whether live data is still what a model was trained on: pure functions of samples, with every
// number that the verdict follows from. docs/drift.md has the tests, their sources and what was
// measured of them.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/drift.pb.h"
#include "common/base/status.h"

namespace attune::drift {

// What is known of some examples. A field may be empty: its detectors are left out. ids, texts and
// embeddings are of the same examples in the same order; words are counted over as many examples
// as the longest of the other fields has.
struct Sample {
  std::vector<float> embeddings;  // n x dimension, row by row
  int dimension = 0;
  std::vector<double> lengths;    // tokens
  std::vector<double> losses;     // nats a token, of the text alone
  std::vector<double> entropies;  // nats
  // Nats a token, of the whole text of labelled examples (prompt and answer, as EMBED measures it,
  // not of the answer alone), in the order of their arrival. All losses of the reference are of
  // examples that were not trained on.
  std::vector<double> labelled_losses;
  // Key of the metadata to value to examples.
  std::map<std::string, std::map<std::string, uint64_t>> categories;
  std::map<std::string, uint64_t> words;  // to the number of examples that have it (AddText)
  std::vector<std::string> ids, texts;    // texts: the first words will do
};

// Counts the distinct words of an example, all of whose text must come in one call, in words.
void AddText(std::string_view text, Sample* sample);

struct DetectOptions {
  v1::AlarmSpec alarm;  // 0 in a field: its default
  double looks_per_week = 1;
  uint64_t seed = 0;
  int threads = 2;
};

// The spec with every default in place.
v1::AlarmSpec WithDefaults(v1::AlarmSpec alarm);

// One window against the reference: every detector's statistic, p-value, effect, and whether it
// drifted, corrected for the other detectors. The same input and options, the same result, whatever
// the number of threads. kInvalidArgument: embeddings that are not n x dimension, of two
// dimensions, or not finite.
Result<std::vector<v1::DetectorResult>> Detect(const Sample& reference, const Sample& window,
                                               const DetectOptions& options);

// What Detect leaves out for want of examples, a sentence for each: "loss, entropy: the reference
// has 12 validation examples, ...".
std::vector<std::string> NotCompared(const Sample& reference, const Sample& window);

// Sets drifted, alarm, reason and, of the detectors, what depends on earlier windows (the test of
// labelled quality goes on from window to window) and of labelled_loss what it was at first.
// before: the windows before it, oldest first; only those that were measured against the same
// profile count. Setting twice is setting once.
void Judge(const std::vector<v1::Window>& before, const DetectOptions& options, v1::Window* window);

// The window's examples that are farther from every cluster of the reference than its radius,
// grouped; the largest group first. Empty when there are no more of them than chance gives.
std::vector<v1::NewCluster> FindNew(const Sample& reference, const Sample& window, uint64_t seed);

}  // namespace attune::drift
