#include "coordinator/test_clock.h"

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace attune {
namespace {

using std::chrono::hours;

TEST(MovedClock, IsMovedByTheFileAtEachCall) {
  TemporaryFolder folder;
  MovedClock clock(folder.path() / "clock");
  EXPECT_LT(clock.Now() - SystemClock()->Now(), hours(1));
  folder.Write("clock", "604800\n");
  EXPECT_GT(clock.Now() - SystemClock()->Now(), hours(24 * 7 - 1));
  folder.Write("clock", "nonsense");
  EXPECT_LT(clock.Now() - SystemClock()->Now(), hours(1));
}

}  // namespace
}  // namespace attune
