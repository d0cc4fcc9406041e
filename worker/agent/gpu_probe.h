#pragma once

// The loads of this host's GPUs, read on a thread of its own: a driver whose GPU has fallen off the
// bus may not answer for long, or ever, and the heartbeat must go on. Then the destructor, too,
// waits for it.

#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "worker/agent/gpu_query.h"

namespace attune::worker {

class GpuProbe {
 public:
  struct Options {
    std::chrono::milliseconds interval{2000};
    std::chrono::milliseconds patience{10000};  // for an answer
  };

  GpuProbe(std::unique_ptr<GpuQuery> query, Options options);
  ~GpuProbe();
  GpuProbe(const GpuProbe&) = delete;
  GpuProbe& operator=(const GpuProbe&) = delete;

  // Those of the last reading; none before the first, or when the driver no longer answers.
  std::vector<GpuLoad> Loads() const EXCLUDES(mutex_);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  void Run() EXCLUDES(mutex_);

  const std::unique_ptr<GpuQuery> query_;
  const Options options_;

  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<GpuLoad> loads_ GUARDED_BY(mutex_);
  std::optional<SteadyTime> reading_since_ GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses the others
};

}  // namespace attune::worker
