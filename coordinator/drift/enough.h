#pragma once

// How many examples a detector needs.

#include <cstddef>

namespace attune::drift {

inline constexpr size_t kExamplesLeast = 10;  // of a sample: fewer say nothing
inline constexpr size_t kEmbeddingsLeast = 50;
// Of the reference, that were held out. What was trained on has a lower loss than anything new, so
// nothing may stand in for them.
inline constexpr size_t kHeldOutLeast = 50;

}  // namespace attune::drift
