#include "common/rpc/backoff.h"

#include <gtest/gtest.h>

namespace attune::rpc {
namespace {

using std::chrono::milliseconds;

TEST(Backoff, DoublesToItsMaximumWithJitter) {
  Backoff backoff(milliseconds(100), milliseconds(1000), 7);
  for (int full : {100, 200, 400, 800, 1000, 1000}) {
    const auto delay = backoff.Next();
    EXPECT_GE(delay, milliseconds(full / 2));
    EXPECT_LE(delay, milliseconds(full));
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(), milliseconds(100));
}

TEST(Backoff, DiffersBySeed) {
  Backoff one(milliseconds(1000), milliseconds(60000), 1),
      other(milliseconds(1000), milliseconds(60000), 2);
  int different = 0;
  for (int i = 0; i < 5; ++i) different += one.Next() != other.Next();
  EXPECT_GT(different, 0);
}

}  // namespace
}  // namespace attune::rpc
