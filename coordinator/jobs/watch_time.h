#pragma once

// Silence counts only while somebody listens. When the coordinator itself stood still (a commit
// waited for the disk, the process was stopped), what others said meanwhile waits unread, and their
// deadlines must not have run out when it looks again. So deadlines are kept in this time: it runs
// with the clock from one look to the next, but never further than gap_max past the last.

#include <algorithm>
#include <chrono>

#include "common/base/clock.h"

namespace attune::jobs {

class WatchTime {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // The clock outlives it.
  WatchTime(Clock* clock, std::chrono::milliseconds gap_max)
      : clock_(clock), gap_max_(gap_max), last_look_(clock->Monotonic()) {}

  Time Now() const { return std::min(clock_->Monotonic() - unwatched_, last_look_ + gap_max_); }

  // All that came in before is taken note of. Returns how much too late that is: the time that does
  // not count.
  std::chrono::steady_clock::duration Look() {
    const Time now = clock_->Monotonic() - unwatched_;
    last_look_ = std::min(now, last_look_ + gap_max_);
    const auto late = now - last_look_;
    unwatched_ += late;
    return late;
  }

 private:
  Clock* const clock_;
  const std::chrono::milliseconds gap_max_;
  std::chrono::steady_clock::duration unwatched_{};
  Time last_look_;
};

}  // namespace attune::jobs
