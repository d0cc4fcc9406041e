#include "worker/trainer/report_buffer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace attune::trainer {
namespace {

v1::TrainerMessage Step(uint32_t step) {
  v1::TrainerMessage message;
  message.mutable_metrics()->set_step(step);
  return message;
}

TEST(ReportBuffer, NumbersFromOneAndSendsOnce) {
  ReportBuffer buffer;
  EXPECT_EQ(buffer.first_sequence(), 1u);
  ASSERT_TRUE(buffer.Append(Step(10)));
  ASSERT_TRUE(buffer.Append(Step(11)));
  EXPECT_EQ(buffer.NextUnsent()->sequence(), 1u);
  EXPECT_EQ(buffer.NextUnsent()->metrics().step(), 11u);
  EXPECT_FALSE(buffer.NextUnsent());
}

TEST(ReportBuffer, ANewStreamCarriesTheUnacknowledged) {
  ReportBuffer buffer;
  for (uint32_t step = 1; step <= 4; ++step) ASSERT_TRUE(buffer.Append(Step(step)));
  for (int i = 0; i < 3; ++i) buffer.NextUnsent();
  buffer.Acknowledge(2);
  EXPECT_EQ(buffer.first_sequence(), 3u);
  EXPECT_EQ(buffer.NextUnsent()->sequence(), 4u);
  buffer.Rewind();
  EXPECT_EQ(buffer.NextUnsent()->sequence(), 3u);
  EXPECT_EQ(buffer.NextUnsent()->sequence(), 4u);
  buffer.Acknowledge(100);
  EXPECT_EQ(buffer.first_sequence(), 5u);
}

TEST(ReportBuffer, AcknowledgedBeforeThisStreamSentThem) {
  ReportBuffer buffer;
  ASSERT_TRUE(buffer.Append(Step(1)));
  ASSERT_TRUE(buffer.Append(Step(2)));
  buffer.NextUnsent();
  buffer.Rewind();
  buffer.Acknowledge(1);
  EXPECT_EQ(buffer.NextUnsent()->sequence(), 2u);
}

TEST(ReportBuffer, AppendWaitsWhileFull) {
  ReportBuffer buffer(1);
  ASSERT_TRUE(buffer.Append(Step(1)));
  std::atomic<bool> appended{false};
  std::thread writer([&] {
    EXPECT_TRUE(buffer.Append(Step(2)));
    appended = true;
  });
  EXPECT_FALSE(
      buffer.WaitUntilEmpty(std::chrono::steady_clock::now() + std::chrono::milliseconds(20)));
  EXPECT_FALSE(appended);
  buffer.Acknowledge(1);
  writer.join();
  EXPECT_EQ(buffer.first_sequence(), 2u);
}

TEST(ReportBuffer, CloseEndsAWait) {
  ReportBuffer buffer(1);
  ASSERT_TRUE(buffer.Append(Step(1)));
  std::thread writer([&] { EXPECT_FALSE(buffer.Append(Step(2))); });
  buffer.Close();
  writer.join();
  EXPECT_FALSE(buffer.Append(Step(3)));
}

}  // namespace
}  // namespace attune::trainer
