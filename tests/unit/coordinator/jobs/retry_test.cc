#include "coordinator/jobs/retry.h"

#include <gtest/gtest.h>

namespace attune::jobs {
namespace {

const TimePoint kNow{std::chrono::seconds(1000)};
using Kind = Failure::Kind;

RetryDecision Decide(Kind kind, uint32_t restarts, uint32_t max_restarts, double jitter = 0,
                     uint32_t losses = 0) {
  RetryPolicy policy;
  policy.max_restarts = max_restarts;
  return DecideRetry({kind, 1, "node-a", "the cause", {}}, {restarts, losses}, policy, kNow,
                     jitter);
}

struct Case {
  Kind kind;
  uint32_t restarts, max_restarts;
  JobEvent event;
  bool counted;
};

TEST(DecideRetry, Table) {
  for (const Case& c : std::initializer_list<Case>{
           {Kind::kInvalid, 0, 3, JobEvent::kFailed, true},
           {Kind::kNoMemory, 0, 3, JobEvent::kFailed, true},
           {Kind::kNoSpace, 0, 3, JobEvent::kPaused, false},
           {Kind::kNoSpace, 3, 3, JobEvent::kPaused, false},
           {Kind::kTrainer, 0, 3, JobEvent::kRequeued, true},
           {Kind::kTrainer, 2, 3, JobEvent::kRequeued, true},
           {Kind::kTrainer, 3, 3, JobEvent::kFailed, true},
           {Kind::kTrainer, 0, 0, JobEvent::kFailed, true},
           {Kind::kPeerLost, 0, 1, JobEvent::kRequeued, true},
           {Kind::kPeerLost, 1, 1, JobEvent::kFailed, true},
           {Kind::kWorker, 1, 1, JobEvent::kRequeued, false},
           {Kind::kStorage, 0, 0, JobEvent::kRequeued, false},
           {Kind::kNotStarted, 3, 3, JobEvent::kRequeued, false},
           {Kind::kStopped, 3, 3, JobEvent::kRequeued, false},
       }) {
    SCOPED_TRACE(static_cast<int>(c.kind) * 100 + c.restarts * 10 + c.max_restarts);
    RetryDecision decision = Decide(c.kind, c.restarts, c.max_restarts);
    EXPECT_EQ(decision.event, c.event);
    if (c.event == JobEvent::kRequeued) {
      EXPECT_EQ(decision.counted, c.counted);
      EXPECT_GT(decision.not_before, kNow);
    }
    EXPECT_NE(decision.reason.find("the cause"), std::string::npos);
  }
}

TEST(DecideRetry, BackoffDoublesWithinItsBounds) {
  EXPECT_EQ(Decide(Kind::kTrainer, 0, 99).not_before, kNow + std::chrono::milliseconds(500));
  EXPECT_EQ(Decide(Kind::kTrainer, 2, 99).not_before, kNow + std::chrono::milliseconds(2000));
  EXPECT_EQ(Decide(Kind::kTrainer, 98, 99).not_before, kNow + std::chrono::seconds(30));
  EXPECT_EQ(Decide(Kind::kStopped, 3, 3, 0, 2).not_before, kNow + std::chrono::seconds(2));
  EXPECT_LE(Decide(Kind::kTrainer, 98, 99, 0.999).not_before, kNow + std::chrono::seconds(60));
}

TEST(DecideRetry, LossesWithoutEndPause) {
  for (Kind kind : {Kind::kWorker, Kind::kNotStarted, Kind::kStopped, Kind::kStorage}) {
    EXPECT_EQ(Decide(kind, 0, 3, 0, 9).event, JobEvent::kRequeued);
    RetryDecision last = Decide(kind, 0, 3, 0, 10);
    EXPECT_EQ(last.event, JobEvent::kPaused);
    EXPECT_EQ(last.reason,
              "rank 1 on node-a: the cause; it was tried again 10 times without a new checkpoint, "
              "and goes on with `attune job resume`");
  }
  EXPECT_EQ(Decide(Kind::kTrainer, 0, 3, 0, 10).event, JobEvent::kRequeued);
}

TEST(DecideRetry, TheReasonNamesRankHostAndCause) {
  EXPECT_EQ(Decide(Kind::kTrainer, 0, 3).reason,
            "restart 1 of 3, because rank 1 on node-a: the cause");
  EXPECT_EQ(
      Decide(Kind::kTrainer, 3, 3).reason,
      "rank 1 on node-a: the cause; restarted 3 times without a new checkpoint, the most allowed");
}

TEST(DescribeExit, NamesSignals) {
  EXPECT_EQ(DescribeExit(true, 9), "killed by signal 9 (SIGKILL)");
  EXPECT_EQ(DescribeExit(false, 3), "exit code 3");
  EXPECT_EQ(DescribeExit(true, 15), "stopped from outside (SIGTERM)");
  EXPECT_EQ(DescribeExit(false, 143), "stopped from outside (SIGTERM)");
}

TEST(DescribeExit, TellsWhatAKilledProcessHadUsed) {
  constexpr uint64_t kPeak = 14'173'392'077;  // 13.2 GiB
  EXPECT_EQ(DescribeExit(true, 9, kPeak),
            "killed by signal 9 (SIGKILL), had used up to 13.2 GiB: the kernel may have run out of "
            "memory");
  EXPECT_EQ(DescribeExit(true, 9, 300 << 20),
            "killed by signal 9 (SIGKILL), had used up to 300 MiB: the kernel may have run out of "
            "memory");
  EXPECT_EQ(DescribeExit(true, 11, kPeak), "killed by signal 11 (SIGSEGV)");
  EXPECT_EQ(DescribeExit(true, 15, kPeak), "stopped from outside (SIGTERM)");
  EXPECT_EQ(DescribeExit(false, 3, kPeak), "exit code 3");
}

TEST(FreeBytesWanted, GrowsWithPausesInARow) {
  EXPECT_EQ(FreeBytesWanted(100, 0), 100u + (16u << 20));
  EXPECT_EQ(FreeBytesWanted(100, 2), 100u + (64u << 20));
  EXPECT_EQ(FreeBytesWanted(0, 1000), FreeBytesWanted(0, 10));
}

}  // namespace
}  // namespace attune::jobs
