#include "coordinator/objects/timely_source.h"

#include <gmock/gmock.h>

#include <future>

#include "tests/support/hanging_source.h"

namespace attune::objects {
namespace {

using ::testing::HasSubstr;

class TimelySourceTest : public ::testing::Test {
 protected:
  ~TimelySourceTest() override {
    below_->Release();
    while (CallsGivenUp() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  std::unique_ptr<ObjectSource> Bound(const Patience& patience) {
    return patience.Bound("s3://bucket/in", [below = below_]() {
      return Result<std::unique_ptr<ObjectSource>>(std::make_unique<HangingSource>(below));
    });
  }

  const std::shared_ptr<Hang> below_ = std::make_shared<Hang>();
};

constexpr std::chrono::hours kLong{1};
constexpr std::chrono::milliseconds kShort{20};

TEST_F(TimelySourceTest, PassesOnWhatComesInTime) {
  Patience patience(kLong);
  auto source = Bound(patience);
  below_->Release();
  Result<std::vector<Object>> listed = source->List(".jsonl");
  ASSERT_TRUE(listed.ok()) << listed.status().ToString();
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ((*listed)[0].name, "a.jsonl");
  std::string content;
  Status read = source->Read("a.jsonl", [&](std::string_view bytes) {
    content += bytes;
    return Status();
  });
  EXPECT_TRUE(read.ok()) << read.ToString();
  EXPECT_EQ(content, HangingSource::kContent);
}

TEST_F(TimelySourceTest, WhatTakeSaysEndsTheReadAndTheSourceIsFreeAgain) {
  Patience patience(kLong);
  auto source = Bound(patience);
  below_->Release();
  for (int i = 0; i < 100; ++i) {
    int calls = 0;
    Status stopped = source->Read("a.jsonl", [&](std::string_view) {
      ++calls;
      return ResourceExhausted("enough");
    });
    ASSERT_EQ(stopped.message(), "enough");
    ASSERT_EQ(calls, 1);
  }
}

TEST_F(TimelySourceTest, ACallThatHangsIsGivenUpAndTheNextFailsAtOnceUntilItHasEnded) {
  Patience patience(kShort);
  auto source = Bound(patience);
  EXPECT_EQ(source->List("").status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(CallsGivenUp(), 1);
  Status read = source->Read("a.jsonl", [](std::string_view) { return Status(); });
  EXPECT_EQ(read.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(read.message(), HasSubstr("s3://bucket/in"));
  EXPECT_EQ(CallsGivenUp(), 1);  // no second thread
  EXPECT_EQ(below_->calls(), 1);
  below_->Release();
  while (CallsGivenUp() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(source->List("").ok());
}

TEST_F(TimelySourceTest, AFileThatStopsInTheMiddleIsGivenUp) {
  Patience patience(kShort);
  auto source = Bound(patience);
  below_->HangAfter(1);  // the list, or a piece of a file
  std::string content;
  Status read = source->Read("a.jsonl", [&](std::string_view bytes) {
    content += bytes;
    return Status();
  });
  EXPECT_EQ(read.code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(content, std::string(1, HangingSource::kContent[0]));
}

TEST_F(TimelySourceTest, TheEndOfPatienceEndsWhatWaitsAndWhatComes) {
  Patience patience(kLong);
  auto source = Bound(patience);
  auto listed = std::async(std::launch::async, [&] { return source->List("").status(); });
  while (below_->calls() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  patience.End();
  EXPECT_EQ(listed.get().code(), StatusCode::kUnavailable);
  EXPECT_EQ(source->List("").status().code(), StatusCode::kUnavailable);
}

TEST_F(TimelySourceTest, WhatIsGivenUpOutlivesAllElse) {
  {
    Patience patience(kShort);
    EXPECT_FALSE(Bound(patience)->List("").ok());
  }
  EXPECT_EQ(CallsGivenUp(), 1);
}

}  // namespace
}  // namespace attune::objects
