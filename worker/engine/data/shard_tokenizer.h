#pragma once

// The tokenizing of one shard of a dataset on several threads. Private to this folder.

#include <cstdint>
#include <functional>

#include "common/base/status.h"
#include "worker/engine/data/dataset_version.h"
#include "worker/engine/data/example_tokens.h"
#include "worker/engine/data/prepared_counts.h"
#include "worker/engine/data/shard_writer.h"

namespace attune::engine {

// Called every few dozen examples, on any of the threads but one call at a time, with what was done
// of the shard so far; an error ends the work.
using ShardProgress = std::function<Status(const ShardCounts& so_far)>;

// Adds the shard's examples that have something to learn, in the shard's order. The memory it takes
// does not grow with the shard. kDataLoss when the shard is not what its manifest says.
Result<ShardCounts> TokenizeShard(const DatasetShard& shard, const TokenizeOptions& options,
                                  int threads, ShardWriter* writer, const ShardProgress& progress);

}  // namespace attune::engine
