#include "coordinator/rendezvous/key_value_store.h"

#include <gtest/gtest.h>

#include <optional>

namespace attune::rendezvous {
namespace {

using std::chrono::milliseconds;

class KeyValueStoreTest : public testing::Test {
 protected:
  KeyValueStoreTest() { store_.OpenRun("run"); }
  KeyValueStore::GetDone Into(std::optional<Result<std::string>>* out) {
    return [out](Result<std::string> result) { out->emplace(std::move(result)); };
  }

  FakeClock clock_{TimePoint(std::chrono::seconds(1))};
  KeyValueStore store_{&clock_,
                       {.key_bytes_max = 8,
                        .value_bytes_max = 16,
                        .keys_max = 4,
                        .run_bytes_max = 64,
                        .waiters_max = 2}};
};

TEST_F(KeyValueStoreTest, GetAnswersAtOnceWhenThere) {
  ASSERT_TRUE(store_.Set("run", "k", "v").ok());
  std::optional<Result<std::string>> got;
  store_.Get("run", "k", milliseconds(0), Into(&got));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->value(), "v");
}

TEST_F(KeyValueStoreTest, GetWaitsForSetAddAndCompareAndSet) {
  std::optional<Result<std::string>> set, added;
  store_.Get("run", "s", milliseconds(100), Into(&set));
  store_.Get("run", "n", milliseconds(100), Into(&added));
  EXPECT_FALSE(set);
  ASSERT_TRUE(store_.CompareAndSet("run", "s", "", "first").ok());
  ASSERT_TRUE(store_.Add("run", "n", 2).ok());
  EXPECT_EQ(set->value(), "first");
  EXPECT_EQ(added->value(), "2");
}

TEST_F(KeyValueStoreTest, WaitsEndAtTheirDeadline) {
  std::optional<Result<std::string>> got;
  store_.Get("run", "k", milliseconds(100), Into(&got));
  clock_.Advance(milliseconds(99));
  store_.ExpireWaits();
  EXPECT_FALSE(got);
  clock_.Advance(milliseconds(1));
  store_.ExpireWaits();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status().code(), StatusCode::kDeadlineExceeded);
}

TEST_F(KeyValueStoreTest, ClosingARunCancelsItsWaits) {
  std::optional<Result<std::string>> got;
  store_.Get("run", "k", milliseconds(100), Into(&got));
  store_.CloseRun("run");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status().code(), StatusCode::kCancelled);
  EXPECT_EQ(store_.Set("run", "k", "v").code(), StatusCode::kFailedPrecondition);
}

TEST_F(KeyValueStoreTest, CompareAndSetFollowsC10d) {
  EXPECT_EQ(store_.CompareAndSet("run", "k", "x", "y").value(), "x");  // absent, expected a value
  EXPECT_EQ(store_.CompareAndSet("run", "k", "", "a").value(), "a");
  EXPECT_EQ(store_.CompareAndSet("run", "k", "b", "c").value(), "a");
  EXPECT_EQ(store_.CompareAndSet("run", "k", "a", "c").value(), "c");
}

TEST_F(KeyValueStoreTest, AddCountsAndRefusesWhatIsNoNumber) {
  EXPECT_EQ(store_.Add("run", "n", 3).value(), 3);
  EXPECT_EQ(store_.Add("run", "n", -5).value(), -2);
  ASSERT_TRUE(store_.Set("run", "n", "12x").ok());
  EXPECT_EQ(store_.Add("run", "n", 1).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(KeyValueStoreTest, LimitsHold) {
  EXPECT_EQ(store_.Set("run", "", "v").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.Set("run", "123456789", "v").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.Set("run", "k", std::string(17, 'v')).code(), StatusCode::kResourceExhausted);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(store_.Set("run", std::to_string(i), "v").ok());
  EXPECT_EQ(store_.Set("run", "4", "v").code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(store_.Set("run", "3", "w").ok());
  EXPECT_TRUE(store_.Delete("run", "0").value());
  EXPECT_FALSE(store_.Delete("run", "0").value());
  EXPECT_TRUE(store_.Set("run", "4", "v").ok());
  std::optional<Result<std::string>> one, two, three;
  store_.Get("run", "x", milliseconds(9), Into(&one));
  store_.Get("run", "y", milliseconds(9), Into(&two));
  store_.Get("run", "z", milliseconds(9), Into(&three));
  ASSERT_TRUE(three);
  EXPECT_EQ(three->status().code(), StatusCode::kResourceExhausted);
}

TEST_F(KeyValueStoreTest, RunsDoNotSeeEachOther) {
  store_.OpenRun("other");
  ASSERT_TRUE(store_.Set("run", "k", "v").ok());
  EXPECT_FALSE(store_.Check("other", {"k"}).value());
  EXPECT_TRUE(store_.Check("run", {"k"}).value());
}

}  // namespace
}  // namespace attune::rendezvous
