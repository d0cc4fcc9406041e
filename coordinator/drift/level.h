#pragma once

#include <cstdint>

namespace attune::drift {

// The chance of `persistence` windows in a row with p-values at most level, when nothing drifted:
// level^persistence if they were independent. They share the reference: the statistics of two
// windows of n examples against one of m correlate by n / (n + m). Normal statistics of one-sided
// tests, equally correlated; two-sided tests and sums of squares depend less.
double ChanceInRow(double level, uint32_t persistence, double correlation);

// The level of a window's tests together that makes false_alarms_per_week out of looks_per_week
// windows; at most kLevelMost, since above it "drifted" would say nothing.
inline constexpr double kLevelMost = 0.05;
double WindowLevel(double false_alarms_per_week, double looks_per_week, uint32_t persistence,
                   double correlation);

}  // namespace attune::drift
