#include "worker/engine/data/prepare.h"

#include <utility>

#include "common/base/hash.h"
#include "worker/engine/data/cached_shards.h"
#include "worker/engine/data/dataset_work.h"
#include "worker/engine/data/make_shards.h"
#include "worker/engine/data/mix.h"
#include "worker/engine/data/token_cache.h"

namespace attune::engine {
namespace {

// Each part's training examples once.
MixPart Whole(const std::shared_ptr<const TokenShard>& shard) {
  return {shard, static_cast<int64_t>(shard->size())};
}

std::vector<MixPart> OldParts(const Work& work, const std::vector<PartTokens>& cached) {
  std::vector<MixPart> all, shared;
  for (size_t i = 0; i < cached.size(); ++i) {
    all.push_back(Whole(cached[i].train));
    if (work.parts[i].dataset->share > 0) shared.push_back(all.back());
  }
  return shared.empty() ? all : shared;
}

// Says in `data` how much of each dataset there is, and in which key.
Result<std::vector<int64_t>> CountParts(const Work& work, const std::vector<PartTokens>& cached,
                                        uint64_t seed, PreparedData* data) {
  std::vector<MixAmount> amounts;
  for (size_t i = 0; i < cached.size(); ++i) {
    const DatasetFiles& dataset = *work.parts[i].dataset;
    const auto size = static_cast<int64_t>(cached[i].train->size());
    amounts.push_back({size, dataset.weight, dataset.share});
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> counts, MixCounts(amounts));
  Sha256 key;
  for (size_t i = 0; i < counts.size(); ++i) {
    const DatasetFiles& dataset = *work.parts[i].dataset;
    const PreparedCounts& prepared = cached[i].counts;
    data->counts.datasets.push_back({dataset.reference, dataset.weight, dataset.share,
                                     prepared.train, prepared.validation, counts[i],
                                     prepared.unusable});
    data->drawn = data->drawn || (amounts[i].size > 0 && counts[i] % amounts[i].size != 0);
    key.Update(work.parts[i].key + " " + std::to_string(counts[i]) + "\n");
  }
  if (data->drawn) key.Update("seed " + std::to_string(seed) + "\n");
  data->key = key.Hex();
  return counts;
}

Result<PreparedData> Combine(const Work& work, const std::vector<PartTokens>& cached,
                             uint64_t seed) {
  PreparedData data;
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> counts, CountParts(work, cached, seed, &data));
  std::vector<MixPart> train, validation;
  for (size_t i = 0; i < cached.size(); ++i) {
    train.push_back({cached[i].train, counts[i]});
    validation.push_back(Whole(cached[i].validation));
  }
  ATTUNE_ASSIGN_OR_RETURN(data.train, Mix(train, seed));
  ATTUNE_ASSIGN_OR_RETURN(data.validation, Mix(validation, seed));
  ATTUNE_ASSIGN_OR_RETURN(data.old, Mix(OldParts(work, cached), seed));
  data.counts.examples = static_cast<int64_t>(data.train->size());
  for (uint32_t length : data.train->lengths()) data.counts.tokens += length;
  for (uint32_t count : data.train->target_counts()) data.counts.target_tokens += count;
  data.counts.validation_examples = static_cast<int64_t>(data.validation->size());
  return data;
}

}  // namespace

Result<PreparedData> PrepareWork(const PrepareTask& task, const Work& work, Observer& observer) {
  SweepTokenCache(task.token_cache);  // first, as its space may be needed
  const TokenCache cache(task.token_cache, work.options);
  bool all_cached = false;
  ATTUNE_ASSIGN_OR_RETURN(const CachedShards cached,
                          MakeAll(task, work, cache, &all_cached, observer));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<PartTokens> parts, JoinParts(work, cached));
  ATTUNE_ASSIGN_OR_RETURN(PreparedData data, Combine(work, parts, task.train.seed));
  for (const std::string& warning : DataWarnings(data.counts, task.train)) {
    observer.OnWarning(warning);
  }
  data.counts.cached = all_cached;
  return data;
}

Result<PrepareResult> Prepare(const PrepareTask& task, Observer& observer) {
  ATTUNE_ASSIGN_OR_RETURN(const Work work, MakeWork(task));
  ATTUNE_ASSIGN_OR_RETURN(const PreparedData data, PrepareWork(task, work, observer));
  return data.counts;
}

Status CheckSequenceLength(int64_t length, int64_t positions, const std::string& base,
                           int virtual_tokens) {
  if (length <= positions) return Status();
  return InvalidArgument("train.sequence_length of " + std::to_string(length) + " is above the " +
                         std::to_string(positions) + " positions that " + base + " has" +
                         (virtual_tokens > 0
                              ? " behind its " + std::to_string(virtual_tokens) + " virtual tokens"
                              : "") +
                         ": set it to " + std::to_string(positions) + " at most")
      .WithField("train.sequence_length");
}

std::vector<std::string> DataWarnings(const PrepareResult& counts, const TrainOptions& train) {
  std::vector<std::string> warnings;
  for (const DatasetCounts& dataset : counts.datasets) {
    for (std::string& warning : DataWarnings(dataset, train.sequence_length)) {
      warnings.push_back(std::move(warning));
    }
  }
  return warnings;
}

Result<PreparedData> OpenPrepared(const PrepareTask& task) {
  ATTUNE_ASSIGN_OR_RETURN(const Work work, MakeWork(task));
  const TokenCache cache(task.token_cache, work.options);
  CachedShards cached;
  ATTUNE_RETURN_IF_ERROR(OpenShards(cache, ShardsOf(work), &cached, nullptr));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<PartTokens> parts, JoinParts(work, cached));
  auto data = Combine(work, parts, task.train.seed);
  if (data.ok()) data->counts.cached = true;
  return data;
}

}  // namespace attune::engine
