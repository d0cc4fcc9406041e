#include "common/base/text.h"

#include <cmath>
#include <cstdio>

namespace attune {

std::string ShortNumber(double value, int digits) {
  if (value == 0) return "0";  // of either sign
  char text[32];
  if (std::abs(value) < 1e9 && value == std::floor(value)) {
    std::snprintf(text, sizeof text, "%.0f", value);
  } else {
    std::snprintf(text, sizeof text, "%.*g", digits, value);
  }
  return text;
}

std::string CountOf(uint64_t count, const std::string& noun) {
  std::string number = std::to_string(count);
  for (int place = static_cast<int>(number.size()) - 3; place > 0; place -= 3) {
    number.insert(static_cast<size_t>(place), ",");
  }
  return number + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace attune
