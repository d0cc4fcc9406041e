#include "coordinator/test_clock.h"

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "common/log/log.h"

namespace attune {

TimePoint MovedClock::Now() {
  constexpr double kYears = 10 * 366 * 86400.0;
  std::ifstream file(file_);
  double seconds = 0;
  if (!(file >> seconds) || !(std::abs(seconds) <= kYears)) seconds = 0;
  return SystemClock()->Now() + Duration(std::llround(seconds * 1e6));
}

std::unique_ptr<Clock> TestClock() {
  const char* file = std::getenv("ATTUNE_TEST_CLOCK");
  if (file == nullptr || *file == '\0') return nullptr;
  spdlog::warn("ATTUNE_TEST_CLOCK is set: wall time is moved by the seconds in {}", file);
  return std::make_unique<MovedClock>(file);
}

}  // namespace attune
