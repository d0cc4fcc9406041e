#pragma once

#include <filesystem>
#include <memory>

#include "common/base/clock.h"
#include "common/base/status.h"

namespace attune {

// The machine's clock, with wall time moved on by the seconds written in a file, which is read at
// each Now(); a file that is not there, or holds no number, moves nothing. Deadlines stay real. For
// tests of what happens in weeks: ATTUNE_TEST_CLOCK names the file.
class MovedClock final : public Clock {
 public:
  explicit MovedClock(std::filesystem::path file) : file_(std::move(file)) {}
  TimePoint Now() override;
  std::chrono::steady_clock::time_point Monotonic() override { return SystemClock()->Monotonic(); }

 private:
  const std::filesystem::path file_;
};

// A MovedClock when ATTUNE_TEST_CLOCK is set, else null.
std::unique_ptr<Clock> TestClock();

}  // namespace attune
