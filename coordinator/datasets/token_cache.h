#pragma once

// The tokens of shards, in STORAGE/cache/tokens/KEY/: entries whose names begin with the first 32
// digits of a shard's sha256. Others are left alone.

#include <filesystem>
#include <functional>
#include <set>
#include <string>

#include "common/base/status.h"

namespace attune::datasets {

inline constexpr size_t kTokenNameDigits = 32;

// Of the shards (the first digits of their sha256) those that have tokens in the cache.
Result<std::set<std::string>> FindTokens(const std::filesystem::path& storage,
                                         const std::set<std::string>& shards);
// Removes them. One that is not there is no error.
Status RemoveTokens(const std::filesystem::path& storage, const std::set<std::string>& shards);

}  // namespace attune::datasets
