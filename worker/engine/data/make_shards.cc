#include "worker/engine/data/make_shards.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "worker/engine/data/phase_report.h"
#include "worker/engine/data/shared_work.h"
#include "worker/engine/data/verification.h"

namespace attune::engine {
namespace {

// Then the storage is at fault.
constexpr int kRoundsMax = 5;

// Whether the chat template takes the datasets, as far as this process has seen.
class TemplateCheck {
 public:
  explicit TemplateCheck(const Work& work) : work_(work), done_(work.parts.size()) {
    for (size_t i = 0; i < work.parts.size(); ++i) {
      examples_.push_back(work.parts[i].examples());
      for (const DatasetShard& shard : work.parts[i].version.shards) {
        if (IsTokenized(shard)) places_[TokenCache::NameOf(shard)].push_back({i, shard.split});
      }
    }
  }

  // so_far: of the shard that is being made; all of it once another shard is looked at.
  Status Look(const DatasetShard* shard, const ShardCounts& so_far) {
    if (shard != making_ && making_ != nullptr) {
      for (const Place& place : places_.at(TokenCache::NameOf(*making_))) {
        done_[place.part].Add(place.split, so_far_);
      }
    }
    making_ = shard;
    so_far_ = so_far;
    if (shard == nullptr) return Status();
    for (const Place& place : places_.at(TokenCache::NameOf(*shard))) {
      PreparedCounts counts = done_[place.part];
      counts.Add(place.split, so_far);
      Status status = CheckUnusable(counts, examples_[place.part]);
      if (!status.ok()) {
        return status.WithContext("dataset " + work_.parts[place.part].dataset->reference);
      }
    }
    return Status();
  }

 private:
  struct Place {
    size_t part;
    std::string split;
  };
  const Work& work_;
  std::vector<int64_t> examples_;     // of each part
  std::vector<PreparedCounts> done_;  // of each part
  std::map<std::string, std::vector<Place>> places_;
  const DatasetShard* making_ = nullptr;
  ShardCounts so_far_;
};

SharedWorkOptions MakeSharedWorkOptions(const PrepareTask& task) {
  SharedWorkOptions options;
  options.threads = task.train.threads;
  if (options.threads <= 0) {
    options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  }
  return options;
}

Status MakeMissing(const PrepareTask& task, const Work& work, const TokenCache& cache,
                   std::set<std::string> damaged, std::set<std::string> unopened,
                   Observer& observer) {
  uint64_t total = 0;
  const std::vector<const DatasetShard*> shards = InOrder(work);
  for (const DatasetShard* shard : shards) total += shard->examples;
  PhaseReport report("tokenizing", total, total, &observer);
  TemplateCheck check(work);
  SharedWork shared(
      cache, shards, std::move(damaged), std::move(unopened), MakeSharedWorkOptions(task),
      [&](uint64_t done, const DatasetShard* shard, const ShardCounts& so_far) -> Status {
        ATTUNE_RETURN_IF_ERROR(check.Look(shard, so_far));
        return report(done, shard == nullptr ? 0 : static_cast<uint64_t>(so_far.counts.examples));
      });
  return shared.Run();
}

Status GiveUp(const PrepareTask& task, size_t unopened, size_t shards) {
  const std::string what = "what is written to the token cache " + task.token_cache.string();
  if (unopened == 0) return DataLoss(what + " comes back damaged");
  return NotFound(what + " is not there when it is opened (" + std::to_string(unopened) + " of " +
                  std::to_string(shards) +
                  " files): see that nothing removes files there, and that all hosts have the " +
                  "same storage mounted");
}

}  // namespace

Result<CachedShards> MakeAll(const PrepareTask& task, const Work& work, const TokenCache& cache,
                             bool* all_cached, Observer& observer) {
  const Shards shards = ShardsOf(work);
  CachedShards cached;
  Verification verification(task, shards, &observer);
  *all_cached = true;
  for (int round = 0;; ++round) {
    std::set<std::string> damaged;
    ATTUNE_RETURN_IF_ERROR(OpenShards(cache, shards, &cached, &damaged));
    // Only then, which is at the same time on all ranks: so their progress adds up.
    const bool all_there = cached.size() == shards.size();
    if (all_there) ATTUNE_RETURN_IF_ERROR(verification.Run(&cached, &damaged));
    if (all_there && damaged.empty()) return cached;
    *all_cached = false;
    std::set<std::string> unopened = NotThere(shards, cached, damaged);
    if (round == kRoundsMax) return GiveUp(task, unopened.size(), shards.size());
    ATTUNE_RETURN_IF_ERROR(
        MakeMissing(task, work, cache, std::move(damaged), std::move(unopened), observer));
  }
}

}  // namespace attune::engine
