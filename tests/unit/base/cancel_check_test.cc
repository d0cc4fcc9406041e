#include "common/base/cancel_check.h"

#include <gtest/gtest.h>

namespace attune {
namespace {

TEST(CancelCheck, SaysThatWhoeverWaitedHasGone) {
  EXPECT_TRUE(CancelCheck().Now().ok());
  EXPECT_TRUE(CancelCheck(nullptr).Now().ok());
  bool gone = false;
  CancelCheck check([&] { return gone; });
  EXPECT_TRUE(check.Now().ok());
  gone = true;
  EXPECT_EQ(check.Now().code(), StatusCode::kCancelled);
}

TEST(CancelCheck, AsksOnceInSoManySteps) {
  int asked = 0;
  CancelCheck check([&] { return ++asked == 3; });
  for (uint32_t i = 0; i < 2 * CancelCheck::kStepsAnAsk; ++i) ASSERT_TRUE(check.Step().ok());
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(check.Step().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace attune
