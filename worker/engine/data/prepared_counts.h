#pragma once

// What became of examples on their way to tokens, and what a person should know of it. Private to
// this folder.

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// Of one shard.
struct ShardCounts {
  SplitCounts counts;
  std::vector<std::string> unusable;  // the first few
};

// Of a dataset version.
struct PreparedCounts {
  SplitCounts train, validation;
  std::vector<std::string> unusable;  // the first few

  int64_t examples() const { return train.examples + validation.examples; }
  void Add(std::string_view split, const ShardCounts& shard);
};

// How many of `unusable` are kept.
inline constexpr size_t kUnusableNamed = 3;

// The notes of a token file: JSON of the shard's sha256 and its counts.
std::string ShardNotes(const ShardCounts& counts, const std::string& shard_sha256);
// kDataLoss when they are damaged, or another shard's.
Result<ShardCounts> ReadShardNotes(std::string_view notes, const std::string& shard_sha256);

// An error when more than kUnusableShareMax of the examples are unusable: then it is the chat
// template or the data set that is at fault.
Status CheckUnusable(const PreparedCounts& counts, int64_t examples);

// Why no training example has a token to learn.
Status NothingToLearn(const PreparedCounts& counts, size_t sequence_length);

// A sentence for each split of which something is cut, dropped or left out.
std::vector<std::string> DataWarnings(const DatasetCounts& dataset, int sequence_length);

}  // namespace attune::engine
