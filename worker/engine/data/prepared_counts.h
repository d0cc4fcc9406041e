#pragma once

// What became of a dataset version's examples: prepared.json of a cache folder, and what a person
// should know of it. Private to this folder.

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

struct PreparedCounts {
  SplitCounts train, validation;
  std::vector<std::string> unusable;  // the first few

  int64_t examples() const { return train.examples + validation.examples; }
};

// How many of `unusable` are kept.
inline constexpr size_t kUnusableNamed = 3;

// The content of prepared.json; `format` and `dataset` are for people who look into the cache.
std::string PreparedJson(const PreparedCounts& counts, int format, const std::string& dataset);
// kDataLoss when it is damaged.
Result<PreparedCounts> ReadPreparedJson(const std::filesystem::path& file);

// An error when the chat template cannot take more than kUnusableShareMax of the examples: then it
// is the template or the data set that is at fault.
Status CheckUnusable(const PreparedCounts& counts, int64_t examples);

// Why no training example has a token to learn.
Status NothingToLearn(const PreparedCounts& counts, size_t sequence_length);

// A sentence for each split of which something is cut, dropped or left out.
std::vector<std::string> DataWarnings(const DatasetCounts& dataset, int sequence_length);

}  // namespace attune::engine
