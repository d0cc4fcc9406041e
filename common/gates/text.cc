#include "common/gates/text.h"

#include <cmath>
#include <cstdio>

namespace attune::gates {

std::string ShortNumber(double value) {
  if (value == 0) return "0";  // of either sign
  char text[32];
  // Whole numbers of up to 9 digits as such.
  if (std::abs(value) < 1e9 && value == std::floor(value)) {
    std::snprintf(text, sizeof text, "%.0f", value);
  } else {
    std::snprintf(text, sizeof text, "%.4g", value);
  }
  return text;
}

std::string Percent(double share) {
  return ShortNumber(100 * share) + " %";
}

std::string Counted(uint64_t count, const std::string& noun) {
  std::string digits = std::to_string(count);
  for (int place = static_cast<int>(digits.size()) - 3; place > 0; place -= 3) {
    digits.insert(static_cast<size_t>(place), ",");
  }
  return digits + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace attune::gates
