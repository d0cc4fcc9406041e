#include "worker/agent/log_shipper.h"

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace attune::worker {
namespace {

using std::chrono::milliseconds;

class LogShipperTest : public ::testing::Test {
 protected:
  std::optional<LogShipper::Chunk> Next() {
    wake_at_ = LogShipper::SteadyTime::max();
    return shipper_.Next(now_, &wake_at_);
  }
  attune::TemporaryFolder folder_;
  LogShipper shipper_{{.chunk_bytes = 4,
                       .poll = milliseconds(100),
                       .resend = milliseconds(1000),
                       .answers_missing_max = 2}};
  // Ahead of the real clock, which Acknowledge looks at when an answer brings no progress.
  LogShipper::SteadyTime now_ = std::chrono::steady_clock::now() + std::chrono::hours(1);
  LogShipper::SteadyTime wake_at_;
};

TEST_F(LogShipperTest, SendsChunkAfterChunk) {
  shipper_.Track("a", folder_.Write("a.log", "123456"));
  auto chunk = Next();
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->bytes, "1234");
  EXPECT_FALSE(Next());  // one under way at a time
  EXPECT_EQ(wake_at_, now_ + milliseconds(1000));
  shipper_.Acknowledge("a", 4);
  chunk = Next();
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->offset, 4u);
  EXPECT_EQ(chunk->bytes, "56");
  shipper_.Acknowledge("a", 6);
  EXPECT_FALSE(Next());
  EXPECT_EQ(wake_at_, now_ + milliseconds(100));
  EXPECT_TRUE(shipper_.AllShipped());
  folder_.Append("a.log", "78");
  now_ += milliseconds(100);
  chunk = Next();
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->offset, 6u);
  EXPECT_EQ(chunk->bytes, "78");
}

TEST_F(LogShipperTest, SendsAgainWhatWasNotAcknowledged) {
  shipper_.Track("a", folder_.Write("a.log", "123456"));
  ASSERT_TRUE(Next());
  shipper_.Rewind();
  auto chunk = Next();
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->offset, 0u);
  now_ += milliseconds(1000);  // no answer
  chunk = Next();
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->offset, 0u);
}

TEST_F(LogShipperTest, GoesBackWhenTheCoordinatorHasLess) {
  shipper_.Track("a", folder_.Write("a.log", "123456"));
  ASSERT_TRUE(Next());
  shipper_.Acknowledge("a", 4);
  ASSERT_TRUE(Next());
  shipper_.Acknowledge("a", 2);
  auto chunk = Next();
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->offset, 2u);
  EXPECT_EQ(chunk->bytes, "3456");
}

TEST_F(LogShipperTest, LogsTakeTurns) {
  shipper_.Track("a", folder_.Write("a.log", "aaaaaaaa"));
  shipper_.Track("b", folder_.Write("b.log", "bbbbbbbb"));
  EXPECT_EQ(Next()->trainer_id, "a");
  shipper_.Acknowledge("a", 4);
  EXPECT_EQ(Next()->trainer_id, "b");
  EXPECT_EQ(Next()->trainer_id, "a");
}

TEST_F(LogShipperTest, RemovesAnEndedLogOnceItIsThere) {
  auto path = folder_.Write("a.log", "123");
  shipper_.Track("a", path);
  ASSERT_TRUE(Next());
  shipper_.MarkEnded("a");
  EXPECT_TRUE(std::filesystem::exists(path));
  shipper_.Acknowledge("a", 3);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(LogShipperTest, GivesUpAnEndedLogThatNobodyTakes) {
  auto path = folder_.Write("old.log", "123");
  folder_.Write("other.txt", "not a log");
  shipper_.Adopt(folder_.path());
  for (int i = 0; i < 3; ++i, now_ += milliseconds(1000)) ASSERT_TRUE(Next()) << i;
  EXPECT_FALSE(Next());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(folder_.path() / "other.txt"));
}

}  // namespace
}  // namespace attune::worker
