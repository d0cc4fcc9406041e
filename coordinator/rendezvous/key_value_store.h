#pragma once

// One key-value space per run generation, in memory: what c10d needs to find its peers. A
// generation whose keys are gone (the coordinator restarted while it bootstrapped) fails to
// bootstrap and is tried again; one that has its process group needs the keys no more. So nothing
// here is persisted.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"

namespace attune::rendezvous {

struct Limits {
  size_t key_bytes_max = 1024;
  size_t value_bytes_max = 1 << 20;
  size_t keys_max = 100'000;        // of one run
  size_t run_bytes_max = 64 << 20;  // keys and values of one run
  size_t waiters_max = 10'000;      // of one run
};

class KeyValueStore {
 public:
  using GetDone = std::function<void(Result<std::string>)>;

  explicit KeyValueStore(Clock* clock, Limits limits = {}) : clock_(clock), limits_(limits) {}

  // A run must be opened first; everything of a closed or unknown run is kFailedPrecondition.
  void OpenRun(const std::string& run) EXCLUDES(mutex_);
  // Forgets the run's keys; those who wait get kCancelled.
  void CloseRun(const std::string& run) EXCLUDES(mutex_);

  // kResourceExhausted over a limit.
  Status Set(const std::string& run, const std::string& key, const std::string& value)
      EXCLUDES(mutex_);
  // Sets desired where the value is expected, or where the key is absent and expected is empty.
  // Returns the value afterwards (expected when the key is absent and expected is not empty, as
  // c10d has it).
  Result<std::string> CompareAndSet(const std::string& run, const std::string& key,
                                    const std::string& expected, const std::string& desired)
      EXCLUDES(mutex_);
  // Calls done once: with the value as soon as the key exists, or kDeadlineExceeded, or kCancelled.
  // done may be called before Get returns, or later from another thread, never under the store's
  // lock.
  void Get(const std::string& run, const std::string& key, std::chrono::milliseconds wait,
           GetDone done) EXCLUDES(mutex_);
  // Adds to a decimal number (0 when absent), returns the sum. kInvalidArgument when it is no
  // number.
  Result<int64_t> Add(const std::string& run, const std::string& key, int64_t amount)
      EXCLUDES(mutex_);
  Result<bool> Check(const std::string& run, const std::vector<std::string>& keys) EXCLUDES(mutex_);
  // True when the key was there.
  Result<bool> Delete(const std::string& run, const std::string& key) EXCLUDES(mutex_);

  // Ends waits whose time is up. The owner of the loop calls it often.
  void ExpireWaits() EXCLUDES(mutex_);

 private:
  struct Waiter {
    std::chrono::steady_clock::time_point deadline;
    GetDone done;
  };
  struct Run {
    std::map<std::string, std::string> values;
    std::multimap<std::string, Waiter> waiters;
    size_t bytes = 0;
  };
  // What to call once the lock is free.
  using Calls = std::vector<std::pair<GetDone, Result<std::string>>>;
  static void Call(Calls& calls);

  Result<Run*> Find(const std::string& run) REQUIRES(mutex_);
  Status Put(Run& run, const std::string& key, const std::string& value, Calls* calls)
      REQUIRES(mutex_);

  Clock* const clock_;
  const Limits limits_;
  Mutex mutex_;
  std::map<std::string, Run> runs_ GUARDED_BY(mutex_);
};

}  // namespace attune::rendezvous
