#include "coordinator/jobs/control_loop.h"

#include <gtest/gtest.h>

#include <future>

#include "tests/unit/coordinator/jobs/fake_cluster.h"

namespace attune::jobs {
namespace {

constexpr std::chrono::seconds kDeadline{60};

TEST(ControlLoop, TheEndOfBackgroundWorkIsNotLostInAFullQueue) {
  FakeCluster cluster;
  ControlLoop loop;
  loop.Start(&cluster.controller());
  std::promise<void> busy, go_on, next_began, done;
  ASSERT_TRUE(loop.Post([&](Controller&) {
    busy.set_value();
    go_on.get_future().wait();
  }));
  busy.get_future().wait();
  bool full = false;
  for (size_t i = 0; i <= ControlLoop::kQueueMax && !full; ++i) {
    full = !loop.Post([](Controller&) {});
  }
  EXPECT_TRUE(full);
  loop.Run([] {}, [&] { done.set_value(); });
  // Pieces of work follow one another: when this one begins, the end of the first was handed over.
  loop.Run([&] { next_began.set_value(); }, [] {});
  EXPECT_EQ(next_began.get_future().wait_for(kDeadline), std::future_status::ready);
  EXPECT_FALSE(loop.Post([](Controller&) {})) << "others are still turned away";
  go_on.set_value();
  EXPECT_EQ(done.get_future().wait_for(kDeadline), std::future_status::ready);
  loop.Shutdown();
}

}  // namespace
}  // namespace attune::jobs
