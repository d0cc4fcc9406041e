#include "coordinator/objects/timely_source.h"

#include <gmock/gmock.h>
#include <pthread.h>
#include <sys/stat.h>

#include <fstream>
#include <future>

#include "tests/support/hanging_source.h"
#include "tests/support/temporary_folder.h"

namespace attune::objects {
namespace {

using ::testing::HasSubstr;

class TimelySourceTest : public ::testing::Test {
 protected:
  ~TimelySourceTest() override {
    below_->Release();
    while (CallsUnderWay() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
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
  EXPECT_EQ(CallsUnderWay(), 1);
  Status read = source->Read("a.jsonl", [](std::string_view) { return Status(); });
  EXPECT_EQ(read.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(read.message(), HasSubstr("s3://bucket/in"));
  EXPECT_EQ(CallsUnderWay(), 1);  // no second thread
  EXPECT_EQ(below_->calls(), 1);
  below_->Release();
  while (CallsUnderWay() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
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
  EXPECT_EQ(CallsUnderWay(), 1);
}

TEST_F(TimelySourceTest, ACallIsUnderWayUntilItsSourceIsFreed) {
  std::promise<int> under_way_when_freed;
  // A source's client is freed with what opened it.
  std::shared_ptr<void> client(nullptr,
                               [&](void*) { under_way_when_freed.set_value(CallsUnderWay()); });
  {
    Patience patience(kShort);
    auto source = patience.Bound("s3://bucket/in", [below = below_, held = std::move(client)]() {
      return Result<std::unique_ptr<ObjectSource>>(std::make_unique<HangingSource>(below));
    });
    EXPECT_FALSE(source->List("").ok());
  }
  below_->Release();
  EXPECT_EQ(under_way_when_freed.get_future().get(), 1);
}

TEST_F(TimelySourceTest, WithoutAThreadTheCallFailsAndTheNextIsTried) {
  Patience patience(kLong);
  auto source = Bound(patience);
  below_->Release();
  pthread_attr_t usual, huge;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_attr_init(&huge), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&huge, size_t{1} << 50), 0);  // no memory has room for it
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  const Status refused = source->List("").status();
  ASSERT_EQ(pthread_setattr_default_np(&usual), 0);
  EXPECT_EQ(refused.code(), StatusCode::kUnavailable);
  EXPECT_THAT(refused.message(), HasSubstr("s3://bucket/in cannot be read"));
  EXPECT_EQ(CallsUnderWay(), 0);
  EXPECT_TRUE(source->List("").ok());
}

// Of a folder what one read gives is there at once: the rest of a pipe never comes.
TEST_F(TimelySourceTest, ASlowFileIsNotTakenForOneThatHangs) {
  TemporaryFolder folder;
  const std::string pipe = (folder.path() / "a.jsonl").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::fstream writer(pipe);
  writer << "slow" << std::flush;
  Patience patience(std::chrono::seconds(10));
  auto source = patience.Bound(folder.path(), [&] { return OpenSource(folder.path()); });
  std::string content;
  Status read = source->Read("a.jsonl", [&](std::string_view bytes) {
    content += bytes;
    return Cancelled("enough");
  });
  EXPECT_EQ(read.message(), "enough");
  EXPECT_EQ(content, "slow");
}

}  // namespace
}  // namespace attune::objects
