// A coordinator that dies after any commit, or whose answers are lost, goes on: one firing for each
// slot, one job of each kind for each update, one move of the alias.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/coordinator/retraining/fake_world.h"

namespace attune::retraining {
namespace {

using std::chrono::hours;

// The newest update's way to a state, with a new controller after each tick.
void RunWithDeaths(World* world, v1::Update::State state) {
  for (int i = 0; i < 300; ++i) {
    world->controller->Tick();
    world->Restart();
    auto updates = world->Updates();
    if (!updates.empty() && updates.front().state() == state) return;
    // Later windows and newer versions must not change what was asked before.
    if (i % 7 == 3) {
      world->datasets.Add("docs", 500, 100);
      world->datasets.Add("old", 500, 100);
    }
    if (i % 3 == 2) world->jobs.FinishAll(v1::Job::SUCCEEDED, world->clock.Now(), 0.5);
  }
  ADD_FAILURE() << world->Updates().front().ShortDebugString();
}

void CheckOnce(World* world, size_t evaluations) {
  EXPECT_EQ(world->Count("slots"), 1);
  EXPECT_EQ(world->Updates().size(), 1u);
  EXPECT_EQ(world->jobs.OfKind(v1::Job::TRAIN).size(), 1u);
  EXPECT_EQ(world->jobs.OfKind(v1::Job::EVALUATE).size(), evaluations);
  EXPECT_EQ(world->datasets.versions["weekly-data"].size(), 1u);
  EXPECT_EQ(world->Count("reports"), 1);
}

TEST(CrashTest, DiesAfterEveryCommit) {
  World world;
  world.SetChampion(1);
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 40;  // so few that the goal suite is composed as well
  int commits = 0;
  world.ports.after_commit = [&] {
    ++commits;
    return false;
  };
  world.Restart();
  world.clock.Advance(hours(3));
  RunWithDeaths(&world, v1::Update::WATCHING);
  EXPECT_GE(commits, 10);
  CheckOnce(&world, 2);
  EXPECT_EQ(world.Champion(), 2u);
  EXPECT_EQ(world.Count("moves"), 2);  // the test's own, and the promotion
  world.worse_by = 0.5;
  world.live.waiting = 30;
  world.live.Close();
  RunWithDeaths(&world, v1::Update::ROLLED_BACK);
  EXPECT_EQ(world.Champion(), 1u);
  EXPECT_EQ(world.Count("moves"), 3);
  EXPECT_EQ(world.jobs.OfKind(v1::Job::EVALUATE).size(), 4u);
}

TEST(CrashTest, DiesAfterOneCommitWhicheverItIs) {
  for (int victim = 1; victim <= 12; ++victim) {
    SCOPED_TRACE(victim);
    World world;
    world.SetChampion(1);
    ASSERT_TRUE(world.Apply(kStream).ok());
    world.live.waiting = 300;
    int commits = 0;
    world.ports.after_commit = [&] { return ++commits != victim; };
    world.Restart();
    world.clock.Advance(hours(3));
    RunWithDeaths(&world, v1::Update::WATCHING);
    CheckOnce(&world, 2);
    EXPECT_EQ(world.Count("moves"), 2);
  }
}

TEST(CrashTest, AnswersThatAreLostAreAskedForAgain) {
  World world;
  world.SetChampion(1);
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.jobs.lose_answers = true;
  world.clock.Advance(hours(3));
  RunWithDeaths(&world, v1::Update::WATCHING);
  CheckOnce(&world, 2);
  EXPECT_EQ(world.jobs.lost.size(), 3u);
}

TEST(CrashTest, SlotsThatPassedWhileItWasDeadFireOnceTogether) {
  World world;
  ASSERT_TRUE(world.Apply(kStream).ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(24 * 6));
  for (int i = 0; i < 3; ++i) {
    world.Restart();
    world.controller->Tick();
  }
  EXPECT_EQ(world.Updates().size(), 1u);
  EXPECT_EQ(world.Updates()[0].trigger_detail(), "slot 2026-12-05 03:00:00 UTC");
}

}  // namespace
}  // namespace attune::retraining
