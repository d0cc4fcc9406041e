#pragma once

// Time as a dependency: daemons take a Clock, tests hand them a FakeClock.

#include <atomic>
#include <chrono>
#include <cstdint>

namespace attune {

using TimePoint = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;
using Duration = std::chrono::microseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() = 0;                                    // for records and for people
  virtual std::chrono::steady_clock::time_point Monotonic() = 0;  // for deadlines
};

// The machine's clock; it lives for the whole program.
Clock* SystemClock();

class FakeClock : public Clock {
 public:
  explicit FakeClock(TimePoint start) : start_(start) {}
  TimePoint Now() override { return start_ + Duration(elapsed_us_.load()); }
  std::chrono::steady_clock::time_point Monotonic() override {
    return std::chrono::steady_clock::time_point(Duration(elapsed_us_.load()));
  }
  void Advance(Duration by) { elapsed_us_ += by.count(); }

 private:
  const TimePoint start_;
  std::atomic<int64_t> elapsed_us_{0};
};

}  // namespace attune
