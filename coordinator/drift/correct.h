#pragma once

#include <vector>

#include "attune/v1/drift.pb.h"

namespace attune::drift {

inline constexpr char kAuc[] = "AUC";
inline constexpr char kPsi[] = "PSI";
inline constexpr char kRelativeChange[] = "relative change";
inline constexpr char kJsDistance[] = "JS distance";
inline constexpr char kRelativeIncrease[] = "relative increase";
inline constexpr char kQuality[] = "quality";

// Of a window's results with p-values and effects, and of quality effect_min: sets what follows
// from the spec (with its defaults in place): effect_min, level, adjusted_p, drifted. correlation:
// of two windows' statistics, see level.h.
void Correct(const v1::AlarmSpec& alarm, double looks_per_week, double correlation,
             std::vector<v1::DetectorResult>* results);

}  // namespace attune::drift
