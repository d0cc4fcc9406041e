#include "common/base/text.h"

#include <gtest/gtest.h>

namespace attune {
namespace {

TEST(ShortNumber, HasFewDigitsAndWholeNumbersAllOfTheirs) {
  EXPECT_EQ(ShortNumber(0.05), "0.05");
  EXPECT_EQ(ShortNumber(-1.92345), "-1.923");
  EXPECT_EQ(ShortNumber(1.92345, 6), "1.92345");
  EXPECT_EQ(ShortNumber(123456789), "123456789");
  EXPECT_EQ(ShortNumber(2.1e9), "2.1e+09");
  EXPECT_EQ(ShortNumber(-0.0), "0");
}

TEST(CountOf, HasThePluralAndThousands) {
  EXPECT_EQ(CountOf(1, "row"), "1 row");
  EXPECT_EQ(CountOf(0, "row"), "0 rows");
  EXPECT_EQ(CountOf(1200, "closed window"), "1,200 closed windows");
  EXPECT_EQ(CountOf(1234567, "example"), "1,234,567 examples");
}

}  // namespace
}  // namespace attune
