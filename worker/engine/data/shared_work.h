#pragma once

// The making of the token files that are missing or damaged, together with whoever else makes them
// at the same time: other ranks of the run on any host, other jobs. Each shard is made by whoever
// gets its lock; the others go on with the next one. Where locks do not reach other hosts, or there
// are none, a shard may be made twice, which does no harm. Private to this folder.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/token_cache.h"

namespace attune::engine {

struct SharedWorkOptions {
  int threads = 1;
  std::chrono::milliseconds look_every{1000};  // while a shard is made; a listing of many files
  // Who holds a lock shows a sign of life every second or so; one that did not for so long hangs,
  // and its shard is made without its lock.
  std::chrono::milliseconds silence_max{120'000};
};

class SharedWork {
 public:
  // Called now and then, one call at a time, on any of the threads; an error ends the work. done:
  // the examples of the shards that anybody has made, as far as it is seen from here, and of the
  // one that is being made here. shard and so_far: that one, null while others are waited for.
  using Report =
      std::function<Status(uint64_t done, const DatasetShard* shard, const ShardCounts& so_far)>;

  // shards: all that are wanted, each once; damaged: the names of those of which what is there is
  // damaged; unopened: of those that were not there when they were opened, of which a listing may
  // say otherwise (NFS keeps listings of before). All that is referred to outlives the object.
  SharedWork(const TokenCache& cache, std::vector<const DatasetShard*> shards,
             std::set<std::string> damaged, std::set<std::string> unopened,
             const SharedWorkOptions& options, Report report);

  // Returns when every shard is there.
  Status Run();

 private:
  using Time = std::chrono::steady_clock::time_point;
  // A holder's last sign of life.
  struct Holder {
    std::filesystem::file_time_type touched;
    Time seen;
  };

  bool IsThere(const DatasetShard& shard) const;  // as was seen last
  std::vector<const DatasetShard*> Missing() const;
  void Look();
  void Count();
  Result<bool> LookAgain(const DatasetShard& shard);
  Result<bool> TryToMake(const DatasetShard& shard);
  Status Make(const DatasetShard& shard, const FileLock* lock);
  bool IsSilent(const DatasetShard& shard);

  const TokenCache& cache_;
  std::vector<const DatasetShard*> shards_;
  const SharedWorkOptions options_;
  const Report report_;
  std::set<std::string> listing_;  // names
  std::set<std::string> doubted_;  // of those to be looked at, whatever the listing says
  const std::set<std::string> unopened_;
  Time looked_{};
  uint64_t done_ = 0;  // examples of shards that are there
  std::map<const DatasetShard*, Holder> holders_;
};

}  // namespace attune::engine
