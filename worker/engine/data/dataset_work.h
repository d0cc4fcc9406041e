#pragma once

// What a task asks to be tokenized: its datasets' versions, and how. Making it reads the model's
// text and the manifests.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/dataset_version.h"
#include "worker/engine/data/example_tokens.h"
#include "worker/engine/engine.h"

namespace attune::engine {

struct Part {
  const DatasetFiles* dataset;
  DatasetVersionFiles version;
  std::string key;  // of its tokens

  int64_t examples() const;  // of training and validation
};

struct Work {
  TokenizeOptions options;
  std::vector<Part> parts;
};

// The task outlives what is made of it. kInvalidArgument when the tokenizer is not the model's.
Result<Work> MakeWork(const PrepareTask& task);

// Whether it has rows that become tokens: those of the other splits have nothing to learn.
bool IsTokenized(const DatasetShard& shard);

// All parts' shards, each once: by their names in the cache, and in the order of the manifests.
using Shards = std::map<std::string, const DatasetShard*>;
Shards ShardsOf(const Work& work);
std::vector<const DatasetShard*> InOrder(const Work& work);

}  // namespace attune::engine
