#pragma once

// The loss of live examples with an answer, and what it was when the champion was new.

#include <vector>

#include "attune/v1/drift.pb.h"

namespace attune::drift {

// The champion's first windows end when they have so many labelled examples.
inline constexpr uint64_t kFirstExamples = 50;

// Of a window's own losses. They are not empty.
v1::LabelledLoss SummarizeLosses(const std::vector<double>& losses);

// Sets what labelled_loss says of the champion's first windows. before: windows held against the
// same profile, oldest first. What was excluded when the next one was measured is none of them.
void CompareWithFirst(const std::vector<v1::Window>& before, v1::Window* window);

}  // namespace attune::drift
