#pragma once

// The way of a task's datasets into the token cache. Private to this folder.

#include "common/base/status.h"
#include "worker/engine/data/cached_shards.h"
#include "worker/engine/data/dataset_work.h"
#include "worker/engine/data/token_cache.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// Makes what the cache lacks, together with whoever else does, until all is there and this rank's
// part of it was read whole. *all_cached: nothing was missing or damaged.
Result<CachedShards> MakeAll(const PrepareTask& task, const Work& work, const TokenCache& cache,
                             bool* all_cached, Observer& observer);

}  // namespace attune::engine
