#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace attune::yaml {

// The candidate most like word, or "" when none is near: at most a third of its letters wrong (one
// for short words), counting inserted, lost, changed and swapped letters (optimal string
// alignment).
std::string Nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace attune::yaml
