#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/drift/detect.h"
#include "coordinator/drift/labelled_loss.h"

namespace attune::drift {
namespace {

using ::testing::HasSubstr;

v1::DetectorResult Result(const char* detector, double p, double effect) {
  v1::DetectorResult result;
  result.set_detector(detector);
  result.set_feature("embedding");
  result.set_p_value(p);
  result.set_adjusted_p(p);
  result.set_level(0.01);
  result.set_effect(effect);
  result.set_effect_name("AUC");
  result.set_effect_min(0.6);
  result.set_drifted(p <= 0.01 && effect >= 0.6);
  return result;
}

v1::Window Window(const v1::DetectorResult& result) {
  v1::Window window;
  window.set_state("measured");
  window.set_profile("tuned@1");
  *window.add_detectors() = result;
  return window;
}

// Judges each against those before it.
std::vector<v1::Window> JudgeAll(std::vector<v1::Window> windows, const DetectOptions& options) {
  std::vector<v1::Window> before;
  for (v1::Window& window : windows) {
    Judge(before, options, &window);
    before.push_back(window);
  }
  return before;
}

TEST(Judge, AlarmsAfterSoManyDriftedWindowsInARow) {
  DetectOptions options;
  options.alarm.set_persistence(3);
  const v1::Window drifted = Window(Result("mmd", 1e-6, 0.8));
  const v1::Window stable = Window(Result("mmd", 0.4, 0.51));
  const auto windows =
      JudgeAll({drifted, drifted, stable, drifted, drifted, drifted, drifted}, options);
  std::vector<bool> alarms;
  for (const v1::Window& window : windows) alarms.push_back(window.alarm());
  EXPECT_THAT(alarms, ::testing::ElementsAre(false, false, false, false, false, true, true));
  EXPECT_EQ(
      windows[1].reason(),
      "drifted, window 2 of the 3 in a row that make an alarm: embedding (mmd) has AUC 0.800, "
      "at least 0.600, and p 1e-06, at most 0.01");
  EXPECT_THAT(windows[5].reason(), HasSubstr("alarm: 3 windows in a row drifted"));
  EXPECT_EQ(windows[2].reason(),
            "no drift: the least p of 1 test is 0.4, of embedding (mmd), above 0.01");
}

TEST(Judge, WhatDiffersSurelyButLittleIsNoDrift) {
  const auto windows = JudgeAll({Window(Result("mmd", 1e-9, 0.55))}, {});
  EXPECT_FALSE(windows[0].drifted());
  EXPECT_EQ(windows[0].reason(),
            "no drift: embedding (mmd) differs (p 1e-09), but by AUC 0.550, which is below 0.600");
}

TEST(Judge, ARowEndsWithAnotherProfileButNotWithAFailedWindow) {
  const v1::Window drifted = Window(Result("mmd", 1e-6, 0.8));
  v1::Window failed;
  failed.set_state("failed");
  failed.set_profile("tuned@1");
  v1::Window other = drifted;
  other.set_profile("tuned@2");
  v1::Window last = drifted;
  Judge(JudgeAll({drifted}, {}), {}, &last);
  EXPECT_TRUE(last.alarm());
  std::vector<v1::Window> before = JudgeAll({drifted}, {});
  before.push_back(failed);
  Judge(before, {}, &last);
  EXPECT_TRUE(last.alarm());
  before = JudgeAll({other}, {});
  Judge(before, {}, &last);
  EXPECT_TRUE(last.drifted());
  EXPECT_FALSE(last.alarm());
}

TEST(Judge, NothingToCompareIsSaid) {
  v1::Window window;
  window.set_state("measured");
  Judge({}, {}, &window);
  EXPECT_FALSE(window.drifted());
  EXPECT_EQ(window.reason(), "no drift: there is nothing to compare");
}

// Evidence adds up over windows, starts anew below nothing, and setting twice is setting once.
TEST(Judge, QualityGoesOnFromWindowToWindow) {
  const auto quality = [](double log_e) {
    v1::DetectorResult result = Result("quality", std::min(1.0, std::exp(-log_e)), 0.3);
    result.set_effect_min(0.1);
    result.set_statistic(log_e);
    return Window(result);
  };
  DetectOptions options;
  options.alarm.set_persistence(1);
  auto windows = JudgeAll({quality(-5), quality(2), quality(2), quality(2)}, options);
  EXPECT_NEAR(windows[0].detectors(0).p_value(), 1, 1e-12);
  EXPECT_NEAR(windows[1].detectors(0).p_value(), std::exp(-2.0), 1e-12);
  EXPECT_NEAR(windows[2].detectors(0).p_value(), std::exp(-4.0), 1e-12);
  EXPECT_FALSE(windows[2].alarm());
  EXPECT_NEAR(windows[3].detectors(0).p_value(), std::exp(-6.0), 1e-12);
  EXPECT_TRUE(windows[3].alarm());
  v1::Window again = windows[3];
  Judge({windows[0], windows[1], windows[2]}, options, &again);
  EXPECT_EQ(again.SerializeAsString(), windows[3].SerializeAsString());
}

v1::Window Labelled(const std::vector<double>& losses, const std::string& profile = "tuned@1") {
  v1::Window window;
  window.set_state("measured");
  window.set_profile(profile);
  *window.mutable_labelled_loss() = SummarizeLosses(losses);
  return window;
}

std::vector<double> Losses(int count, double mean) {
  std::vector<double> losses;
  for (int i = 0; i < count; ++i) losses.push_back(mean + (i % 2 == 0 ? 0.1 : -0.1));
  return losses;
}

// Not with the reference's: of live data the loss may be higher from the first day.
TEST(Judge, LabelledLossesAreComparedWithTheFirstOfTheSameModel) {
  const auto windows = JudgeAll(
      {Labelled(Losses(100, 5.0), "tuned@0"), Labelled(Losses(30, 2.0)), Labelled(Losses(30, 2.2)),
       Labelled(Losses(100, 2.1)), Labelled(Losses(100, 2.5)), Labelled(Losses(4, 9.0))},
      {});
  for (size_t i : {0, 1, 2}) {  // too few were before
    EXPECT_EQ(windows[i].labelled_loss().p_value(), 1);
    EXPECT_EQ(windows[i].labelled_loss().increase(), 0);
  }
  EXPECT_EQ(windows[3].labelled_loss().first_examples(), 60u);
  EXPECT_NEAR(windows[3].labelled_loss().first_mean(), 2.1, 1e-12);
  EXPECT_NEAR(windows[3].labelled_loss().first_variance(), 0.1 * 0.1 + 0.1 * 0.1, 1e-12);
  EXPECT_NEAR(windows[3].labelled_loss().increase(), 0, 1e-12);
  EXPECT_NEAR(windows[3].labelled_loss().p_value(), 0.5, 1e-9);
  EXPECT_EQ(windows[4].labelled_loss().first_examples(), 60u);  // they stay the first
  EXPECT_NEAR(windows[4].labelled_loss().increase(), 0.4, 1e-12);
  EXPECT_LT(windows[4].labelled_loss().p_value(), 1e-9);
  EXPECT_EQ(windows[5].labelled_loss().p_value(), 1);  // too few are in it
}

TEST(Judge, AnExcludedWindowIsNoneOfTheFirst) {
  v1::Window poisoned = Labelled(Losses(100, 7.0));
  poisoned.set_excluded(true);
  const auto windows =
      JudgeAll({poisoned, Labelled(Losses(60, 2.0)), Labelled(Losses(60, 2.3))}, {});
  EXPECT_EQ(windows[1].labelled_loss().first_examples(), 0u);
  EXPECT_EQ(windows[2].labelled_loss().first_examples(), 60u);
  EXPECT_NEAR(windows[2].labelled_loss().increase(), 0.3, 1e-12);
}

}  // namespace
}  // namespace attune::drift
