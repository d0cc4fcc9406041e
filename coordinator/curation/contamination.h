#pragma once

// Training rows that overlap examples which a model is measured by. The rule is that of Brown et
// al., "Language Models are Few-Shot Learners" (2020), appendix C: a common run of 13 words
// (words.h: without case and punctuation); where an evaluation example has 8 to 12 words, all of
// them in a row; where it has fewer, the whole row must be equal to it. Runs that more than ten
// evaluation examples have are their template ("Answer the following question ...") and say
// nothing; the paper leaves runs out that more than ten training documents have, which takes a pass
// of its own.
//
// Memory: 17 bytes a place of the table, which is between a third and two thirds full: 26 to 51
// bytes a run, at most 1.1 GB with kRunsMax (1.7 GB while it grows).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace attune::curation {

inline constexpr size_t kRunWords = 13, kRunWordsMin = 8;
inline constexpr size_t kRunsMax = 44'000'000;
inline constexpr int kTemplateExamples = 10;

class EvaluationRuns {
 public:
  // The next example of the evaluation sets; its number is how many came before. Errors:
  // kResourceExhausted beyond kRunsMax different runs.
  Status Add(std::string_view text);
  size_t examples() const { return examples_; }

  // The number of an evaluation example that the text overlaps; the first that has the first such
  // run of the text. No Add after it; any number of threads.
  std::optional<uint32_t> Find(std::string_view text) const;

 private:
  struct Place {
    size_t index;
    bool taken;
  };
  Place PlaceOf(uint64_t key) const;
  Status AddRun(uint64_t key, uint32_t example);
  void Grow();
  std::optional<uint32_t> FindRuns(const std::vector<uint64_t>& words, size_t length) const;

  // Open addressing; the key 0 is an empty place.
  std::vector<uint64_t> keys_;
  std::vector<uint32_t> first_;  // the first example that has the run
  std::vector<uint32_t> last_;   // the last one, so that one example counts once
  std::vector<uint8_t> counts_;  // of examples, up to one more than kTemplateExamples
  size_t runs_ = 0;
  uint32_t examples_ = 0;
  uint32_t lengths_ = 0;  // bit n: some example has runs of n words
};

}  // namespace attune::curation
