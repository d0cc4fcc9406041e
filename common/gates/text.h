#pragma once

// How sure numbers are, in the sentences of a report.

#include <string>

namespace attune::gates {

std::string Percent(double share);  // "95 %", "99.5 %"

// One-sided bounds.
enum class Side { kAtLeast, kAtMost };
std::string Bound(Side side, double bound, double confidence);  // "at most 2.41, 95 % sure"

// Of by how much one is worse than another; below zero it is better.
std::string WorseBy(double value);  // "worse by 0.39", "better by 0.05"
// What follows in brackets: "by at most 0.46, 95 % sure", "worse by at most 0.02, 95 % sure".
std::string WorseByBound(double value, Side side, double bound, double confidence);

}  // namespace attune::gates
