#include "coordinator/jobs/watch_time.h"

#include <gtest/gtest.h>

namespace attune::jobs {
namespace {

using std::chrono::milliseconds;

// As a real one: it goes on between any two looks at it.
class RunningClock final : public FakeClock {
 public:
  RunningClock() : FakeClock(TimePoint()) {}
  std::chrono::steady_clock::time_point Monotonic() override {
    Advance(std::chrono::microseconds(1));
    return FakeClock::Monotonic();
  }
};

TEST(WatchTime, RunsWithTheClockWhileSomebodyLooks) {
  RunningClock clock;
  WatchTime watch(&clock, milliseconds(2000));
  const auto start = watch.Now();
  for (int i = 0; i < 10; ++i) {
    clock.Advance(milliseconds(1900));
    EXPECT_EQ(watch.Look().count(), 0);
  }
  EXPECT_NEAR(std::chrono::duration<double>(watch.Now() - start).count(), 19, 0.001);
}

TEST(WatchTime, StandsStillWhileNobodyDoes) {
  FakeClock clock{TimePoint()};
  WatchTime watch(&clock, milliseconds(2000));
  const auto start = watch.Now();
  clock.Advance(std::chrono::seconds(60));
  EXPECT_EQ(watch.Now() - start, milliseconds(2000));
  EXPECT_EQ(watch.Look(), std::chrono::seconds(58));
  EXPECT_EQ(watch.Now() - start, milliseconds(2000));
  clock.Advance(std::chrono::seconds(1));
  EXPECT_EQ(watch.Now() - start, milliseconds(3000));
}

}  // namespace
}  // namespace attune::jobs
