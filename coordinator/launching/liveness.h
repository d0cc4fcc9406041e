#pragma once

// Whether someone is still there, from the signals they give: a value fed with the time, never with
// a clock. Three answers: on time; late (two intervals without a signal: give it no new work); lost
// (the timeout has passed: what it did is over). A fixed timeout, not a statistical detector:
// heartbeats come every 2 s over a stream that TCP keeps in order, and a wrong "lost" costs a whole
// attempt.

#include <chrono>

namespace attune::launching {

enum class Tardiness { kOnTime, kLate, kLost };

struct LivenessOptions {
  std::chrono::milliseconds interval{2000};
  std::chrono::milliseconds lost_after{10000};
};

class Liveness {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Liveness() = default;
  Liveness(const LivenessOptions& options, Time now) : options_(options), last_(now) {}

  void Signal(Time now) { last_ = now; }
  Tardiness At(Time now) const {
    if (now - last_ >= options_.lost_after) return Tardiness::kLost;
    if (now - last_ > 2 * options_.interval) return Tardiness::kLate;
    return Tardiness::kOnTime;
  }
  std::chrono::seconds Silence(Time now) const {
    return std::chrono::duration_cast<std::chrono::seconds>(now - last_);
  }

 private:
  LivenessOptions options_;
  Time last_{};
};

}  // namespace attune::launching
