#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common/base/text.h"
#include "coordinator/drift/correct.h"
#include "coordinator/drift/detect.h"
#include "coordinator/drift/labelled_loss.h"

namespace attune::drift {
namespace {

std::string Number(double value) {
  return ShortNumber(value, 2);
}

std::string Effect(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

const v1::DetectorResult* FindQuality(const v1::Window& window) {
  for (const v1::DetectorResult& result : window.detectors()) {
    if (result.detector() == kQuality) return &result;
  }
  return nullptr;
}

bool Comparable(const v1::Window& earlier, const v1::Window& window) {
  return earlier.state() == "measured" && earlier.profile() == window.profile();
}

std::vector<v1::Window> ComparableOf(const std::vector<v1::Window>& before,
                                     const v1::Window& window) {
  std::vector<v1::Window> comparable;
  for (const v1::Window& earlier : before) {
    if (Comparable(earlier, window)) comparable.push_back(earlier);
  }
  return comparable;
}

// The e-detector of Shin, Ramdas and Rinaldo (2023) in its CUSUM form: the evidence of the windows
// so far, started anew whenever it has fallen below nothing. With the bound 1 / level it takes at
// least 1 / level windows on average until it crosses without a drift.
void GoOnWithQuality(const std::vector<v1::Window>& before, v1::Window* window) {
  double evidence = 0;
  for (const v1::Window& earlier : before) {
    const v1::DetectorResult* result = FindQuality(earlier);
    if (!Comparable(earlier, *window) || result == nullptr) continue;
    evidence = std::max(evidence, 0.0) + result->statistic();
  }
  for (v1::DetectorResult& result : *window->mutable_detectors()) {
    if (result.detector() != kQuality) continue;
    evidence = std::max(evidence, 0.0) + result.statistic();
    result.set_p_value(std::min(1.0, std::exp(-evidence)));
    result.set_adjusted_p(result.p_value());
    result.set_drifted(result.p_value() <= result.level() &&
                       result.effect() >= result.effect_min());
  }
}

// Windows in a row up to this one that drifted. What was not measured neither counts nor ends a
// row.
uint32_t DriftedInRow(const std::vector<v1::Window>& before, const v1::Window& window) {
  uint32_t row = 1;
  for (auto earlier = before.rbegin(); earlier != before.rend(); ++earlier) {
    if (earlier->state() != "measured") continue;
    if (!Comparable(*earlier, window) || !earlier->drifted()) break;
    ++row;
  }
  return row;
}

std::string Name(const v1::DetectorResult& result) {
  return result.feature() + " (" + result.detector() + ")";
}

std::string Evidence(const v1::DetectorResult& result) {
  return Name(result) + " has " + result.effect_name() + " " + Effect(result.effect()) +
         ", at least " + Effect(result.effect_min()) + ", and p " + Number(result.adjusted_p()) +
         ", at most " + Number(result.level());
}

const v1::DetectorResult* Least(const v1::Window& window,
                                bool (*counts)(const v1::DetectorResult&)) {
  const v1::DetectorResult* least = nullptr;
  for (const v1::DetectorResult& result : window.detectors()) {
    if (counts(result) && (least == nullptr || result.adjusted_p() < least->adjusted_p())) {
      least = &result;
    }
  }
  return least;
}

std::string StableReason(const v1::Window& window) {
  const v1::DetectorResult* small =
      Least(window, [](const v1::DetectorResult& r) { return r.adjusted_p() <= r.level(); });
  if (small != nullptr) {
    return "no drift: " + Name(*small) + " differs (p " + Number(small->adjusted_p()) +
           "), but by " + small->effect_name() + " " + Effect(small->effect()) +
           ", which is below " + Effect(small->effect_min());
  }
  const v1::DetectorResult* least = Least(window, [](const v1::DetectorResult&) { return true; });
  if (least == nullptr) return "no drift: there is nothing to compare";
  return "no drift: the least p of " + std::to_string(window.detectors_size()) +
         (window.detectors_size() == 1 ? " test is " : " tests is ") + Number(least->adjusted_p()) +
         ", of " + Name(*least) + ", above " + Number(least->level());
}

}  // namespace

void Judge(const std::vector<v1::Window>& before, const DetectOptions& options,
           v1::Window* window) {
  GoOnWithQuality(before, window);
  CompareWithFirst(ComparableOf(before, *window), window);
  const v1::DetectorResult* strongest =
      Least(*window, [](const v1::DetectorResult& r) { return r.drifted(); });
  window->set_drifted(strongest != nullptr);
  window->set_alarm(false);
  if (strongest == nullptr) {
    window->set_reason(StableReason(*window));
    return;
  }
  const uint32_t wanted = WithDefaults(options.alarm).persistence();
  const uint32_t row = DriftedInRow(before, *window);
  window->set_alarm(row >= wanted);
  const std::string counted = row >= wanted
                                  ? "alarm: " + std::to_string(row) + " windows in a row drifted"
                                  : "drifted, window " + std::to_string(row) + " of the " +
                                        std::to_string(wanted) + " in a row that make an alarm";
  window->set_reason(counted + ": " + Evidence(*strongest));
}

}  // namespace attune::drift
