#include "worker/engine/data/shared_work.h"

#include <algorithm>
#include <iterator>
#include <thread>

#include "common/base/hash.h"

namespace attune::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kTouchEvery{1000};
constexpr milliseconds kWaitMin{20}, kWaitMax{1000};
// An unfinished file that is taken away from us again and again: that is no other's mistake.
constexpr int kTriesMax = 5;

}  // namespace

// Each process begins at another shard, so that few meet at a lock.
SharedWork::SharedWork(const TokenCache& cache, std::vector<const DatasetShard*> shards,
                       std::set<std::string> damaged, std::set<std::string> unopened,
                       const SharedWorkOptions& options, Report report)
    : cache_(cache),
      shards_(std::move(shards)),
      options_(options),
      report_(std::move(report)),
      doubted_(std::move(damaged)),
      unopened_(std::move(unopened)) {
  if (shards_.empty()) return;
  const uint64_t random = std::stoull(NewToken().substr(0, 15), nullptr, 16);
  std::ranges::rotate(shards_, shards_.begin() + static_cast<ptrdiff_t>(random % shards_.size()));
}

Status SharedWork::Run() {
  Look();
  // What one listing has that could not be opened is an old listing's; or made since, which costs a
  // look. Others are believed, as they tell of what other processes make.
  std::ranges::set_intersection(unopened_, listing_, std::inserter(doubted_, doubted_.end()));
  Count();
  milliseconds wait = kWaitMin;
  for (;;) {
    const std::vector<const DatasetShard*> missing = Missing();
    if (missing.empty()) break;
    bool made = false;
    for (const DatasetShard* shard : missing) {
      ATTUNE_ASSIGN_OR_RETURN(const bool made_this, TryToMake(*shard));
      made = made || made_this;
    }
    if (made) {
      wait = kWaitMin;
    } else {
      std::this_thread::sleep_for(wait);
      wait = std::min(2 * wait, kWaitMax);
    }
    Look();
    ATTUNE_RETURN_IF_ERROR(report_(done_, nullptr, {}));
  }
  return Status();
}

bool SharedWork::IsThere(const DatasetShard& shard) const {
  const std::string name = TokenCache::NameOf(shard);
  return listing_.contains(name) && !doubted_.contains(name);
}

std::vector<const DatasetShard*> SharedWork::Missing() const {
  std::vector<const DatasetShard*> missing;
  for (const DatasetShard* shard : shards_) {
    if (!IsThere(*shard)) missing.push_back(shard);
  }
  return missing;
}

void SharedWork::Look() {
  listing_ = cache_.List();
  looked_ = steady_clock::now();
  Count();
}

void SharedWork::Count() {
  done_ = 0;
  for (const DatasetShard* shard : shards_) {
    if (IsThere(*shard)) done_ += shard->examples;
  }
}

// With the lock: whether the shard is there and whole, as far as we know.
Result<bool> SharedWork::LookAgain(const DatasetShard& shard) {
  const std::string name = TokenCache::NameOf(shard);
  if (!doubted_.contains(name)) return cache_.Has(shard);
  ATTUNE_ASSIGN_OR_RETURN(const bool is_whole, cache_.RemoveDamaged(shard));
  doubted_.erase(name);
  if (!is_whole) listing_.erase(name);
  return is_whole;
}

// False when another makes it.
Result<bool> SharedWork::TryToMake(const DatasetShard& shard) {
  if (IsThere(shard)) return false;  // another made it meanwhile
  auto lock = cache_.Lock(shard);
  const StatusCode code = lock.status().code();
  if (code == StatusCode::kAlreadyExists && !IsSilent(shard)) return false;
  const bool locks = lock.ok() || code == StatusCode::kAlreadyExists;
  if (!locks && code != StatusCode::kFailedPrecondition) return lock.status();
  ATTUNE_ASSIGN_OR_RETURN(const bool is_there, LookAgain(shard));
  if (is_there) return true;
  ATTUNE_RETURN_IF_ERROR(Make(shard, lock.ok() ? &*lock : nullptr));
  return true;
}

Status SharedWork::Make(const DatasetShard& shard, const FileLock* lock) {
  Time touched = steady_clock::now();
  const ShardProgress progress = [&](const ShardCounts& so_far) -> Status {
    const Time now = steady_clock::now();
    if (lock != nullptr && now - touched >= kTouchEvery) {
      lock->Touch();
      touched = now;
    }
    if (now - looked_ >= options_.look_every) Look();
    // Another may make it at the same time, where locks do not reach.
    const auto own = IsThere(shard) ? 0 : static_cast<uint64_t>(so_far.counts.examples);
    return report_(done_ + own, &shard, so_far);
  };
  Status status;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    status = cache_.Make(shard, options_.threads, progress);
    if (status.code() != StatusCode::kNotFound) break;
    if (cache_.Has(shard)) break;  // by who took our file away
  }
  if (!status.ok() && !cache_.Has(shard)) return status;
  if (listing_.insert(TokenCache::NameOf(shard)).second) done_ += shard.examples;
  return report_(done_, nullptr, {});
}

// Times of files are only compared with themselves: hosts' clocks differ.
bool SharedWork::IsSilent(const DatasetShard& shard) {
  std::error_code error;
  const auto touched = std::filesystem::last_write_time(cache_.LockFile(shard), error);
  const Time now = steady_clock::now();
  if (error) return false;  // just freed
  auto [known, is_new] = holders_.try_emplace(&shard, Holder{touched, now});
  if (!is_new && known->second.touched != touched) known->second = {touched, now};
  return now - known->second.seen >= options_.silence_max;
}

}  // namespace attune::engine
