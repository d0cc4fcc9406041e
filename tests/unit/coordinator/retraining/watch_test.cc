// A promotion that is watched: its end, and the way back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/retraining/controller.h"
#include "coordinator/retraining/repository.h"
#include "tests/unit/coordinator/retraining/fake_world.h"

namespace attune::retraining {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An update that is watched, with version 2 as the candidate.
void StartWatch(World* world) {
  world->SetChampion(1);
  ASSERT_TRUE(world->Apply(kStream).ok());
  world->live.waiting = 300;
  world->clock.Advance(hours(3));
  world->RunTo(v1::Update::WATCHING);
  ASSERT_EQ(world->Champion(), 2u);
}

TEST(WatchTest, ModelsOfAnOpenUpdateAreInUse) {
  World world;
  StartWatch(&world);
  const auto in_use = [&] {
    std::map<std::string, std::string> models;
    EXPECT_TRUE(world.database
                    ->Read([&](Transaction& transaction) {
                      models = ModelsInUse(transaction);
                      return Status();
                    })
                    .ok());
    return models;
  };
  const std::string by = world.Updates()[0].id() + " is WATCHING";
  EXPECT_THAT(in_use(), ElementsAre(std::pair<const std::string, std::string>("tuned@1", by),
                                    std::pair<const std::string, std::string>("tuned@2", by)));
  world.SetChampion(1);
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_TRUE(in_use().empty());
}

TEST(WatchTest, WatchEndsWellAfterItsWindows) {
  World world;
  StartWatch(&world);
  EXPECT_EQ(world.Weekly()->state(), "watching");
  for (int i = 0; i < 2; ++i) {
    world.live.waiting = 30;
    world.live.Close();
    world.controller->Tick();
    world.jobs.FinishAll(v1::Job::SUCCEEDED, world.clock.Now(), 0.1);
    world.controller->Tick();
  }
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_EQ(world.Champion(), 2u);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("2 windows of live data were watched"));
}

TEST(WatchTest, AWatchLooksUpWhatWasTrainedOn) {
  World world;
  StartWatch(&world);
  world.datasets.train_ids["weekly-data@1"] = {std::string(32, 'b')};
  world.live.waiting = 30;
  world.live.Close();
  world.controller->Tick();
  world.jobs.FinishAll(v1::Job::SUCCEEDED, world.clock.Now(), 0.1);
  world.controller->Tick();
  const v1::GateFacts& facts = world.decided.back();
  ASSERT_EQ(facts.proofs_size(), 1);
  EXPECT_EQ(facts.proofs(0).suite(), "live");
  EXPECT_EQ(facts.proofs(0).dataset(), "live@2");
  EXPECT_THAT(facts.proofs(0).trained_on(), ElementsAre("docs@1", "old@1", "weekly-data@1"));
  EXPECT_THAT(facts.proofs(0).seen_ids(), ElementsAre(std::string(32, 'b')));
}

TEST(WatchTest, WorseOnLiveDataGoesBack) {
  World world;
  StartWatch(&world);
  world.worse_by = 0.3;
  world.live.waiting = 30;
  world.live.Close();
  world.RunTo(v1::Update::ROLLED_BACK);
  EXPECT_EQ(world.Champion(), 1u);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("worse by 0.3 (by at least 0.29, 95 % sure)"));
}

TEST(WatchTest, AWatchThatBreaksOffEndsItsJobs) {
  World world;
  StartWatch(&world);
  world.live.waiting = 30;
  world.live.Close();
  world.controller->Tick();
  world.jobs.refuse_get = InvalidArgument("no");
  world.controller->Tick();
  world.jobs.refuse_get = Status();
  world.controller->Tick();
  EXPECT_EQ(world.Updates()[0].state(), v1::Update::PROMOTED);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("not watched to the end: no"));
  auto jobs = world.jobs.OfKind(v1::Job::EVALUATE);
  ASSERT_EQ(jobs.size(), 4u);
  int cancelled = 0;
  for (const v1::Job& job : jobs) cancelled += job.state() == v1::Job::CANCELLED;
  EXPECT_EQ(cancelled, 2);
}

TEST(WatchTest, WatchEndsAfterItsWindowsWhateverTheySaid) {
  World world;
  StartWatch(&world);
  for (int i = 0; i < 2; ++i) {
    world.live.waiting = 30;
    world.live.Close();
    world.controller->Tick();
    world.jobs.FinishAll(v1::Job::FAILED, world.clock.Now(), 0.25);
    world.controller->Tick();
  }
  ASSERT_EQ(world.Updates()[0].state(), v1::Update::PROMOTED);
  EXPECT_THAT(world.Updates()[0].reason(), HasSubstr("none could be compared"));
  // Training and two evaluations of half an hour, four that failed after a quarter.
  EXPECT_DOUBLE_EQ(world.Updates()[0].gpu_hours(), 2.5);
}

TEST(WatchTest, WatchEndsAfterTwoWeeksWithoutLiveData) {
  World world;
  ASSERT_NO_FATAL_FAILURE(StartWatch(&world));
  const std::string id = world.Updates()[0].id();
  world.clock.Advance(hours(14 * 24 - 1));
  world.controller->Tick();
  EXPECT_EQ(world.Update(id).state(), v1::Update::WATCHING);
  world.clock.Advance(hours(1));
  world.controller->Tick();
  EXPECT_EQ(world.Update(id).state(), v1::Update::PROMOTED);
  EXPECT_THAT(world.Update(id).reason(), HasSubstr("the watch ends after 14 days: 0 windows"));
}

TEST(WatchTest, AWatchedUpdateCountsFromItsPromotion) {
  World world;
  world.SetChampion(1);
  ASSERT_TRUE(
      world.Apply(std::string(kStream) + "limits: {cool_down: 30h, gpu_hours_per_week: 20}\n")
          .ok());
  world.live.waiting = 300;
  world.clock.Advance(hours(3));
  world.RunTo(v1::Update::WATCHING);
  const std::string id = world.Updates()[0].id();
  EXPECT_DOUBLE_EQ(world.Weekly()->gpu_hours_this_week(), 1.5);
  world.clock.Advance(hours(24));
  world.controller->Tick();
  world.controller->Tick();
  EXPECT_EQ(world.Update(id).state(), v1::Update::WATCHING);
  EXPECT_EQ(world.Updates()[0].reason(), "cools down until 2026-12-01 09:00:00 UTC after " + id);
  world.clock.Advance(hours(6 * 24));
  EXPECT_DOUBLE_EQ(world.Weekly()->gpu_hours_this_week(), 0);
}

TEST(WatchTest, WatchEndsWhenTheAliasMovesOn) {
  World world;
  StartWatch(&world);
  world.SetChampion(1);
  world.RunTo(v1::Update::PROMOTED);
  EXPECT_EQ(world.Updates()[0].reason(),
            "the alias champion was moved to tuned@1 by user:ann meanwhile; it was watched on 0 "
            "windows of live data");
}

TEST(WatchTest, WatchEndsWhenTheAliasWasMovedAwayAndBack) {
  World world;
  StartWatch(&world);
  world.live.waiting = 30;
  world.live.Close();
  world.controller->Tick();
  world.SetChampion(3);
  world.SetChampion(2);
  world.controller->Tick();
  world.controller->Tick();
  v1::Update update = world.Updates()[0];
  EXPECT_EQ(update.state(), v1::Update::PROMOTED);
  EXPECT_THAT(update.reason(), HasSubstr("was moved to tuned@2 by user:ann meanwhile"));
  EXPECT_EQ(world.Champion(), 2u);
  // What was to compare them compares no more.
  for (const v1::Job& job : world.jobs.OfKind(v1::Job::EVALUATE)) {
    EXPECT_NE(job.state(), v1::Job::QUEUED) << job.id();
  }
}

TEST(WatchTest, ARollbackThatIsRefusedIsNotAskedForAgain) {
  World world;
  StartWatch(&world);
  auto decide = world.ports.decide;
  int asked = 0;
  world.ports.decide = [&](const v1::GateFacts& facts) {
    ++asked;
    world.SetChampion(3);  // by a person, in the last moment
    world.SetChampion(2);
    return decide(facts);
  };
  world.Restart();
  world.worse_by = 0.3;
  world.live.waiting = 30;
  world.live.Close();
  world.RunTo(v1::Update::PROMOTED);
  world.controller->Tick();
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(world.Champion(), 2u);
  v1::Update update = world.Updates()[0];
  EXPECT_THAT(update.reason(), HasSubstr("worse on live data in window 2"));
  EXPECT_THAT(update.reason(),
              HasSubstr("not rolled back: the alias champion was moved to tuned@2 by user:ann"));
}

TEST(WatchTest, ExcludedWindowsAreNotWatched) {
  World world;
  StartWatch(&world);
  world.worse_by = 0.3;
  for (int i = 0; i < 2; ++i) {
    world.live.waiting = 30;
    world.live.Close();
  }
  world.live.windows[1].set_excluded(true);
  world.controller->Tick();
  EXPECT_EQ(world.jobs.OfKind(v1::Job::EVALUATE).back().task().evaluate().suites(0).dataset(),
            "live@3");
  world.live.windows[2].set_excluded(true);  // while it is measured
  world.live.windows[2].set_excluded_reason("poisoned");
  world.jobs.FinishAll(v1::Job::SUCCEEDED, world.clock.Now(), 0.1);
  world.controller->Tick();
  v1::Update update = world.Update(world.Updates()[0].id());
  EXPECT_EQ(update.state(), v1::Update::WATCHING);
  EXPECT_EQ(world.Champion(), 2u);
  EXPECT_EQ(update.events().rbegin()->type(), "not_compared");
  EXPECT_EQ(update.events().rbegin()->message(), "window 3: it was excluded: poisoned");
}

}  // namespace
}  // namespace attune::retraining
