// Weeks of which it is known whether anything drifted. tests/bench/drift_simulation.cc does the
// same with a thousand weeks of real texts.

#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/drift/detect.h"
#include "tests/unit/drift/world.h"

namespace attune::drift {
namespace {

using test::Pool;

// Every effect counts, so that p-values alone decide.
DetectOptions WithoutMinima(double alarms, uint32_t persistence) {
  DetectOptions options;
  options.looks_per_week = 7;
  options.alarm.set_false_alarms_per_week(alarms);
  options.alarm.set_persistence(persistence);
  options.alarm.set_psi_min(1e-9);
  options.alarm.set_auc_min(1e-9);
  options.alarm.set_length_min(1e-9);
  options.alarm.set_vocabulary_min(1e-9);
  options.alarm.set_loss_min(1e-9);
  options.alarm.set_quality_min(1e-9);
  return options;
}

v1::Window Measure(const Sample& reference, const Sample& sample, const DetectOptions& options,
                   const std::vector<v1::Window>& before) {
  auto results = Detect(reference, sample, options);
  EXPECT_TRUE(results.ok());
  v1::Window window;
  window.set_state("measured");
  for (const v1::DetectorResult& result : *results) *window.add_detectors() = result;
  Judge(before, options, &window);
  return window;
}

struct Count {
  int windows = 0, drifted = 0, alarms = 0;
};

Count SimulateWithoutDrift(const DetectOptions& base, int references, int windows) {
  const Pool pool = test::MakePool(3000, 0, 4, 1);
  Random random(2);
  Count count;
  for (int i = 0; i < references; ++i) {
    const Sample reference = test::Draw(pool, 150, random);
    std::vector<v1::Window> before;
    for (int j = 0; j < windows; ++j) {
      DetectOptions options = base;
      options.seed = random.Next();
      const bool in_alarm = !before.empty() && before.back().alarm();
      before.push_back(Measure(reference, test::Draw(pool, 60, random), options, before));
      ++count.windows;
      count.drifted += before.back().drifted() ? 1 : 0;
      count.alarms += before.back().alarm() && !in_alarm ? 1 : 0;
    }
  }
  return count;
}

// Four standard deviations above what is stated, of counts whose windows share a reference by tens
// and so vary half as much again.
double Most(double expected) {
  return expected + 4 * 1.5 * std::sqrt(expected);
}

TEST(Simulation, WithoutDriftAlarmsAreAsRareAsStated) {
  const Count count = SimulateWithoutDrift(WithoutMinima(0.7, 1), 40, 10);
  const double stated = count.windows * 0.7 / 7;
  EXPECT_LE(count.alarms, Most(stated));
  EXPECT_GE(count.drifted, stated / 20);  // and the level is used
}

TEST(Simulation, WithPersistenceAsWell) {
  const Count count = SimulateWithoutDrift(WithoutMinima(0.02, 2), 40, 10);
  EXPECT_LE(count.alarms, Most(count.windows * 0.02 / 7));
}

TEST(Simulation, AnAlarmComesWithTheSecondWindowOfALargeDrift) {
  const Pool pool = test::MakePool(3000, 0, 4, 1), other = test::MakePool(1000, 7, 2, 2);
  Random random(3);
  DetectOptions options;
  options.looks_per_week = 7;
  for (int i = 0; i < 5; ++i) {
    const Sample reference = test::Draw(pool, 300, random);
    std::vector<v1::Window> before;
    const auto add = [&](double share) {
      const Sample sample = test::Draw(pool, 150, random, {.new_share = share}, other);
      before.push_back(Measure(reference, sample, options, before));
    };
    add(0);
    add(0.6);
    add(0.6);
    EXPECT_FALSE(before[0].drifted()) << before[0].reason();
    EXPECT_TRUE(before[1].drifted()) << before[1].reason();
    EXPECT_FALSE(before[1].alarm());
    EXPECT_TRUE(before[2].alarm()) << before[2].reason();
  }
}

}  // namespace
}  // namespace attune::drift
