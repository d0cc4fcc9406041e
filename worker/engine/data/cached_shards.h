#pragma once

// The token files of a task's datasets, opened. Private to this folder.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/dataset_work.h"
#include "worker/engine/data/prepared_counts.h"
#include "worker/engine/data/token_cache.h"
#include "worker/engine/data/token_file.h"

namespace attune::engine {

using CachedShards = std::map<std::string, CachedShard>;

// Adds those that are there and not open yet. damaged: gets the names of those that are damaged;
// null: that is an error.
Status OpenShards(const TokenCache& cache, const Shards& shards, CachedShards* cached,
                  std::set<std::string>* damaged);
// The names of those that OpenShards neither added nor found damaged.
std::set<std::string> NotThere(const Shards& shards, const CachedShards& cached,
                               const std::set<std::string>& damaged);

// A dataset's tokens.
struct PartTokens {
  std::shared_ptr<const TokenShard> train, validation;
  PreparedCounts counts;
};

// In the order of the parts. kNotFound when a shard is missing, kInvalidArgument when a dataset has
// nothing to learn or too many of its examples are unusable.
Result<std::vector<PartTokens>> JoinParts(const Work& work, const CachedShards& cached);

}  // namespace attune::engine
