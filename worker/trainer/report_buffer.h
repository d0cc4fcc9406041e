#pragma once

// Reports on their way to the coordinator: numbered from 1, kept until it says that they are
// committed, sent again on each new stream. Bounded: a task that makes more than the coordinator
// takes waits.

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "attune/v1/trainer.pb.h"
#include "common/base/mutex.h"

namespace attune::trainer {

class ReportBuffer {
 public:
  explicit ReportBuffer(size_t bytes_max = 64 << 20) : bytes_max_(bytes_max) {}

  // Numbers the report and keeps it; waits while the buffer is full. False once closed.
  bool Append(v1::TrainerMessage report) EXCLUDES(mutex_);
  // Drops all up to it.
  void Acknowledge(uint64_t sequence) EXCLUDES(mutex_);
  // The next report that this stream has not carried.
  std::optional<v1::TrainerMessage> NextUnsent() EXCLUDES(mutex_);
  // A new stream carries all of them again.
  void Rewind() EXCLUDES(mutex_);
  // Of the first report that is kept or will be made.
  uint64_t first_sequence() const EXCLUDES(mutex_);
  // True when all is acknowledged before the deadline.
  bool WaitUntilEmpty(std::chrono::steady_clock::time_point deadline) EXCLUDES(mutex_);
  // Appends fail from now on, also those that wait.
  void Close() EXCLUDES(mutex_);

 private:
  const size_t bytes_max_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<v1::TrainerMessage> reports_ GUARDED_BY(mutex_);
  size_t bytes_ GUARDED_BY(mutex_) = 0;
  size_t sent_ GUARDED_BY(mutex_) = 0;  // of reports_, by this stream
  uint64_t next_sequence_ GUARDED_BY(mutex_) = 1;
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace attune::trainer
