#pragma once

// Whether this host sees the cluster's storage: a host that was started before its mount, or whose
// mount is stale, must get no trainers. A thread of its own looks, since a read from a network file
// system that is away may never return; then Shutdown, too, waits for it.

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "common/base/mutex.h"

namespace attune::worker {

class StorageProbe {
 public:
  struct Options {
    std::chrono::milliseconds interval{2000};
    std::chrono::milliseconds patience{10000};  // for an answer
  };

  // changed: what Trouble says is no longer what it was; called on the probe's thread.
  StorageProbe(Options options, std::function<void()> changed)
      : options_(options), changed_(std::move(changed)) {}
  ~StorageProbe() { Shutdown(); }

  void Start();
  void Shutdown() EXCLUDES(mutex_);

  // From now on the storage is there when this file holds this text.
  void Watch(const std::filesystem::path& file, const std::string& text) EXCLUDES(mutex_);
  // What is wrong with the storage, for a person; empty when nothing is, or is known yet.
  std::string Trouble() const EXCLUDES(mutex_);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  void Run() EXCLUDES(mutex_);

  const Options options_;
  const std::function<void()> changed_;
  std::thread thread_;

  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool watch_changed_ GUARDED_BY(mutex_) = false;
  std::filesystem::path file_ GUARDED_BY(mutex_);
  std::string text_ GUARDED_BY(mutex_);
  std::string trouble_ GUARDED_BY(mutex_);
  std::optional<SteadyTime> reading_since_ GUARDED_BY(mutex_);
};

}  // namespace attune::worker
