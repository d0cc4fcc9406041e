#include "coordinator/api/log_store.h"

#include <gtest/gtest.h>

#include "common/base/files.h"
#include "tests/support/temporary_folder.h"

namespace attune {
namespace {

class LogStoreTest : public testing::Test {
 protected:
  std::filesystem::path File() { return folder_.path() / "logs/job-1/g2-r0.log"; }
  TemporaryFolder folder_;
  LogStore logs_{folder_.path()};
};

TEST_F(LogStoreTest, BytesSentTwiceLandOnce) {
  EXPECT_EQ(logs_.Append("job-1-g2-r0", 0, "hello ").value(), 6u);
  EXPECT_EQ(logs_.Append("job-1-g2-r0", 0, "hello ").value(), 6u);
  EXPECT_EQ(logs_.Append("job-1-g2-r0", 3, "lo world").value(), 11u);
  EXPECT_EQ(logs_.Append("job-1-g2-r0", 20, "gap").value(), 11u);
  EXPECT_EQ(ReadFile(File()).value(), "hello world");
}

// The sender must neither go back nor stand still: it would send the same bytes for ever.
TEST_F(LogStoreTest, WhatIsOverTheLimitCountsAsHad) {
  constexpr uint64_t kMax = LogStore::kLogBytesMax;
  ASSERT_EQ(logs_.Append("job-1-g2-r0", 0, "start").value(), 5u);
  std::filesystem::resize_file(File(), kMax - 3);  // a hole: it takes no space
  EXPECT_EQ(logs_.Append("job-1-g2-r0", kMax - 3, "123456").value(), kMax + 3);
  EXPECT_EQ(logs_.Append("job-1-g2-r0", kMax + 3, "789").value(), kMax + 6);
  EXPECT_EQ(std::filesystem::file_size(File()), kMax);
}

TEST_F(LogStoreTest, AnIdCannotEscapeTheFolder) {
  for (const char* id : {"", "../../etc/x-g1-r0", "job-1", "job-1-g1-r0/../../x", "job-A-g1-r0"}) {
    EXPECT_EQ(logs_.Append(id, 0, "x").status().code(), StatusCode::kInvalidArgument) << id;
  }
  EXPECT_TRUE(logs_.Files("../job-1").empty());
}

TEST_F(LogStoreTest, ListsFilesByGenerationAndRank) {
  for (const char* id : {"job-1-g10-r0", "job-1-g2-r1", "job-1-g2-r0"}) {
    ASSERT_TRUE(logs_.Append(id, 0, "x").ok());
  }
  std::string order;
  for (const LogFile& file : logs_.Files("job-1")) order += file.path.filename().string() + " ";
  EXPECT_EQ(order, "g2-r0.log g2-r1.log g10-r0.log ");
}

TEST_F(LogStoreTest, TailOffsetCountsLines) {
  ASSERT_TRUE(logs_.Append("job-1-g2-r0", 0, "a\nbb\nccc\n").ok());
  EXPECT_EQ(TailOffset(File(), 1), 5u);
  EXPECT_EQ(TailOffset(File(), 2), 2u);
  EXPECT_EQ(TailOffset(File(), 9), 0u);
  EXPECT_EQ(TailOffset(File(), 0), 9u);
  ASSERT_TRUE(logs_.Append("job-1-g2-r0", 9, "open").ok());
  EXPECT_EQ(TailOffset(File(), 1), 9u);
  EXPECT_EQ(ReadFrom(File(), 9, 100), "open");
  EXPECT_EQ(ReadFrom(File(), 100, 100), "");
}

}  // namespace
}  // namespace attune
