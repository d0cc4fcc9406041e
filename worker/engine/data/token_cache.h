#pragma once

// One dataset version's tokens in the cache: named by what they follow from, made whole or not at
// all. Private to this folder.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "worker/engine/data/dataset_version.h"
#include "worker/engine/data/example_tokens.h"
#include "worker/engine/data/prepared_counts.h"
#include "worker/engine/data/token_shard.h"

namespace attune::engine {

struct CachedTokens {
  std::shared_ptr<const TokenShard> train, validation;
  PreparedCounts counts;
};

std::string TokenCacheKey(const std::string& dataset_checksum, const TokenizeOptions& options);

// kNotFound when the folder is not there, kDataLoss when it is damaged.
Result<CachedTokens> OpenCachedTokens(const std::filesystem::path& folder);

// Called between batches with the number of examples done since the last call; an error ends the
// work.
using TokenizeProgress = std::function<Status(uint64_t)>;

// Tokenizes a version into `folder`. When another process made it first, theirs stays.
Status MakeCachedTokens(const std::filesystem::path& folder, const DatasetVersionFiles& version,
                        const TokenizeOptions& options, int threads,
                        const TokenizeProgress& progress);

}  // namespace attune::engine
