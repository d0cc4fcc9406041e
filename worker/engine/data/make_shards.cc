#include "worker/engine/data/make_shards.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "worker/engine/data/shared_work.h"

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

// Tells the observer what is new, and turns its wish to stop into an error.
class Reporter {
 public:
  Reporter(Observer* observer, uint64_t total) : observer_(observer), total_(total) {}

  Status operator()(uint64_t done) {
    if (observer_->ShouldStop() != StopRequest::kNone) return Cancelled("stopped while tokenizing");
    // Nothing new is not told: by the silence of all a coordinator finds out that they hang.
    if (told_ && done <= *told_) return Status();
    const auto now = std::chrono::steady_clock::now();
    if (told_ && done < total_ && now < next_) return Status();
    next_ = now + kTellEvery;
    told_ = done;
    Progress report;
    report.phase = "tokenizing";
    report.done = static_cast<double>(done);
    report.total = static_cast<double>(total_);
    observer_->OnProgress(report);
    return Status();
  }

 private:
  static constexpr std::chrono::milliseconds kTellEvery{100};
  Observer* const observer_;
  const uint64_t total_;
  std::optional<uint64_t> told_;
  std::chrono::steady_clock::time_point next_{};
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
                   std::set<std::string> damaged, Observer& observer) {
  uint64_t total = 0;
  const std::vector<const DatasetShard*> shards = InOrder(work);
  for (const DatasetShard* shard : shards) total += shard->examples;
  Reporter reporter(&observer, total);
  TemplateCheck check(work);
  SharedWork shared(
      cache, shards, std::move(damaged), MakeSharedWorkOptions(task),
      [&](uint64_t done, const DatasetShard* shard, const ShardCounts& so_far) -> Status {
        ATTUNE_RETURN_IF_ERROR(check.Look(shard, so_far));
        return reporter(done);
      });
  return shared.Run();
}

}  // namespace

Result<CachedShards> MakeAll(const PrepareTask& task, const Work& work, const TokenCache& cache,
                             bool* all_cached, Observer& observer) {
  const Shards shards = ShardsOf(work);
  CachedShards cached;
  std::set<std::string> damaged;
  // What an earlier task has made is read whole once, here.
  ATTUNE_RETURN_IF_ERROR(OpenShards(cache, shards, TokenFile::Check::kWhole, &cached, &damaged));
  *all_cached = cached.size() == shards.size();
  for (int round = 0; cached.size() < shards.size(); ++round) {
    if (round == kRoundsMax) {
      return DataLoss("what is written to the token cache " + task.token_cache.string() +
                      " comes back damaged");
    }
    ATTUNE_RETURN_IF_ERROR(MakeMissing(task, work, cache, std::exchange(damaged, {}), observer));
    ATTUNE_RETURN_IF_ERROR(OpenShards(cache, shards, TokenFile::Check::kIndex, &cached, &damaged));
  }
  return cached;
}

}  // namespace attune::engine
