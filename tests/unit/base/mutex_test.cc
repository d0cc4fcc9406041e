#include "common/base/mutex.h"

#include <gtest/gtest.h>

#include <thread>

#include "common/base/clock.h"

namespace attune {
namespace {

class Counter {
 public:
  void Add() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    ++count_;
    changed_.NotifyAll();
  }
  bool WaitFor(int count, std::chrono::steady_clock::time_point deadline) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    while (count_ < count) {
      if (!changed_.WaitUntil(&mutex_, deadline)) return count_ >= count;
    }
    return true;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int count_ GUARDED_BY(mutex_) = 0;
};

TEST(Mutex, WaitsUntilTheConditionHolds) {
  Counter counter;
  std::thread adder([&] {
    for (int i = 0; i < 100; ++i) counter.Add();
  });
  EXPECT_TRUE(counter.WaitFor(100, std::chrono::steady_clock::now() + std::chrono::seconds(30)));
  adder.join();
}

TEST(Mutex, WaitEndsAtTheDeadline) {
  Counter counter;
  EXPECT_FALSE(counter.WaitFor(1, std::chrono::steady_clock::now() + std::chrono::milliseconds(1)));
}

TEST(FakeClock, MovesOnlyWhenTold) {
  TimePoint start(Duration(1'000'000));
  FakeClock clock(start);
  auto monotonic = clock.Monotonic();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(Duration(250));
  EXPECT_EQ(clock.Now(), start + Duration(250));
  EXPECT_EQ(clock.Monotonic() - monotonic, std::chrono::microseconds(250));
}

}  // namespace
}  // namespace attune
