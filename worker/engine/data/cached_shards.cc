#include "worker/engine/data/cached_shards.h"

#include <utility>

namespace attune::engine {
namespace {

Result<PartTokens> JoinPart(const Part& part, size_t sequence_length, const CachedShards& cached) {
  PartTokens tokens;
  std::vector<std::shared_ptr<const TokenFile>> train, validation;
  for (const DatasetShard& shard : part.version.shards) {
    if (!IsTokenized(shard)) continue;
    auto found = cached.find(TokenCache::NameOf(shard));
    if (found == cached.end()) {
      return NotFound("the tokens of its shard " + shard.file.filename().string() +
                      " are not in the token cache: they are made by preparing it again");
    }
    (shard.split == "train" ? train : validation).push_back(found->second.tokens);
    tokens.counts.Add(shard.split, found->second.counts);
  }
  ATTUNE_RETURN_IF_ERROR(CheckUnusable(tokens.counts, part.examples()));
  if (tokens.counts.train.used() == 0) return NothingToLearn(tokens.counts, sequence_length);
  ATTUNE_ASSIGN_OR_RETURN(tokens.train, Join(train));
  ATTUNE_ASSIGN_OR_RETURN(tokens.validation, Join(validation));
  return tokens;
}

}  // namespace

Status OpenShards(const TokenCache& cache, const Shards& shards, CachedShards* cached,
                  std::set<std::string>* damaged) {
  for (const auto& [name, shard] : shards) {
    if (cached->contains(name)) continue;
    auto opened = cache.Open(*shard);
    if (opened.ok()) {
      cached->emplace(name, std::move(*opened));
    } else if (opened.status().code() == StatusCode::kDataLoss && damaged != nullptr) {
      damaged->insert(name);
    } else if (opened.status().code() != StatusCode::kNotFound) {
      return opened.status();
    }
  }
  return Status();
}

std::set<std::string> NotThere(const Shards& shards, const CachedShards& cached,
                               const std::set<std::string>& damaged) {
  std::set<std::string> names;
  for (const auto& [name, shard] : shards) {
    if (!cached.contains(name) && !damaged.contains(name)) names.insert(name);
  }
  return names;
}

Result<std::vector<PartTokens>> JoinParts(const Work& work, const CachedShards& cached) {
  std::vector<PartTokens> joined;
  for (const Part& part : work.parts) {
    auto tokens = JoinPart(part, work.options.sequence_length, cached);
    if (!tokens.ok()) return tokens.status().WithContext("dataset " + part.dataset->reference);
    joined.push_back(std::move(*tokens));
  }
  return joined;
}

}  // namespace attune::engine
