#include "coordinator/drift/correct.h"

#include <algorithm>

#include "common/spec/stream_spec.h"
#include "common/statistics/corrections.h"
#include "coordinator/drift/detect.h"
#include "coordinator/drift/level.h"

namespace attune::drift {
namespace {

double EffectMin(const v1::DetectorResult& result, const v1::AlarmSpec& alarm) {
  if (result.effect_name() == kAuc) return alarm.auc_min();
  if (result.effect_name() == kPsi) return alarm.psi_min();
  if (result.effect_name() == kRelativeChange) return alarm.length_min();
  if (result.effect_name() == kJsDistance) return alarm.vocabulary_min();
  if (result.effect_name() == kRelativeIncrease) return alarm.loss_min();
  return result.effect_min();
}

}  // namespace

v1::AlarmSpec WithDefaults(v1::AlarmSpec alarm) {
  spec::FillDefaults(&alarm);
  return alarm;
}

void Correct(const v1::AlarmSpec& alarm, double looks_per_week, double correlation,
             std::vector<v1::DetectorResult>* results) {
  std::vector<double> p_values;
  for (const v1::DetectorResult& result : *results) {
    if (result.detector() != kQuality) p_values.push_back(result.p_value());
  }
  // The test of quality has half of the false alarms where there are labels: it goes on from window
  // to window, so persistence does not make it rarer, and it is corrected for looks by itself.
  const bool labelled = p_values.size() < results->size();
  const double alarms = alarm.false_alarms_per_week() / (labelled ? 2 : 1);
  const double level = WindowLevel(alarms, looks_per_week, alarm.persistence(), correlation);
  const double quality_level = std::min(kLevelMost, alarms / std::max(looks_per_week, 1e-9));
  const std::vector<double> adjusted = statistics::Holm(p_values);
  size_t next = 0;
  for (v1::DetectorResult& result : *results) {
    const bool quality = result.detector() == kQuality;
    result.set_effect_min(EffectMin(result, alarm));
    result.set_level(quality ? quality_level : level);
    result.set_adjusted_p(quality ? result.p_value() : adjusted[next++]);
    result.set_drifted(result.adjusted_p() <= result.level() &&
                       result.effect() >= result.effect_min());
  }
}

}  // namespace attune::drift
