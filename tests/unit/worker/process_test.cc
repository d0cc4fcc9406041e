#include "worker/agent/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "tests/support/temporary_folder.h"
#include "tests/unit/worker/stream_peer.h"
#include "worker/agent/log_tail.h"

namespace attune::worker {
namespace {

using attune::testing::AwaitTrue;
using ::testing::ElementsAre;

class ProcessTest : public ::testing::Test {
 protected:
  Result<Child> Run(const std::string& script) {
    return Spawn({{"/bin/sh", "-c", script}, {"PATH=/usr/bin:/bin"}, log_});
  }
  static bool AwaitEnd(const Child& child) {
    pollfd ended{child.pidfd.get(), POLLIN, 0};
    return poll(&ended, 1, 20000) == 1;
  }
  std::string Log() const {
    std::ostringstream text;
    text << std::ifstream(log_).rdbuf();
    return text.str();
  }
  attune::TemporaryFolder folder_;
  const std::filesystem::path log_ = folder_.path() / "trainer.log";
};

TEST_F(ProcessTest, ReportsTheExitCodeAndKeepsTheOutput) {
  auto child = Run("echo out; echo error >&2; cat; exit 7");
  ASSERT_TRUE(child.ok()) << child.status().ToString();
  ASSERT_TRUE(AwaitEnd(*child));
  auto status = Reap(*child);
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->signaled);
  EXPECT_EQ(status->code, 7);
  EXPECT_GT(status->memory_peak_bytes, 100u << 10);
  EXPECT_EQ(Log(), "out\nerror\n");
}

TEST_F(ProcessTest, ReportsTheSignal) {
  auto child = Run("kill -9 $$");
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE(AwaitEnd(*child));
  auto status = Reap(*child);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->signaled);
  EXPECT_EQ(status->code, SIGKILL);
}

TEST_F(ProcessTest, ReapLeavesALivingChildAlone) {
  auto child = Run("sleep 60");
  ASSERT_TRUE(child.ok());
  EXPECT_FALSE(Reap(*child));
  SignalGroup(*child, SIGKILL);
  ASSERT_TRUE(AwaitEnd(*child));
  EXPECT_TRUE(Reap(*child));
}

TEST_F(ProcessTest, EndsTheWholeGroup) {
  auto child = Run("sleep 60 & echo $!; exit 0");
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE(AwaitEnd(*child));
  const pid_t grandchild = std::stoi(Log());
  ASSERT_TRUE(Reap(*child));
  EXPECT_TRUE(AwaitTrue([&] {
    // Gone, or a zombie that only its new parent can reap.
    std::ifstream stat("/proc/" + std::to_string(grandchild) + "/stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    return text.empty() || text.find(") Z ") != std::string::npos;
  }));
}

TEST_F(ProcessTest, DiesWithTheThreadThatStartedIt) {
  Child child;
  std::thread([&] {
    auto started = Run("sleep 60");
    ASSERT_TRUE(started.ok());
    child = std::move(started).value();
  }).join();
  ASSERT_TRUE(AwaitEnd(child));
  auto status = Reap(child);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->signaled);
  EXPECT_EQ(status->code, SIGKILL);
}

TEST_F(ProcessTest, StartsWithDefaultSignals) {
  signal(SIGPIPE, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  auto child = Run("grep -E '^Sig(Blk|Ign)' /proc/self/status");
  pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE(AwaitEnd(*child));
  Reap(*child);
  EXPECT_EQ(Log(), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_F(ProcessTest, SaysWhyAProgramCannotBeExecuted) {
  auto child = Spawn({{"/no/such/program"}, {}, log_});
  ASSERT_FALSE(child.ok());
  EXPECT_THAT(child.status().message(), ::testing::HasSubstr("/no/such/program"));
}

TEST_F(ProcessTest, TailIsTheLastLinesAsText) {
  folder_.Write("trainer.log", "one\ntwo\nth\xffree\n\nlast");
  EXPECT_THAT(ReadLogTail(log_, 4), ElementsAre("two", "th\xef\xbf\xbdree", "", "last"));
  EXPECT_THAT(ReadLogTail(log_, 100), ::testing::SizeIs(5));
  EXPECT_THAT(ReadLogTail(folder_.path() / "absent", 4), ElementsAre());
}

}  // namespace
}  // namespace attune::worker
