#include "tools/cli/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/base/files.h"
#include "tests/unit/cli/cli_runner.h"
#include "tools/cli/local_cluster.h"

namespace attune::cli {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

TEST(StartTicksOf, SurvivesNamesWithParenthesesAndSeesZombies) {
  std::string before = "12 (a (b) c) ", fields = " 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 98765 0 0";
  EXPECT_EQ(StartTicksOf(before + "S" + fields), 98765u);
  EXPECT_EQ(StartTicksOf(before + "Z" + fields), std::nullopt);
  std::string others_live = " 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 98765 0 0";
  EXPECT_EQ(StartTicksOf(before + "Z" + others_live), 98765u);
  EXPECT_EQ(StartTicksOf(""), std::nullopt);
  EXPECT_EQ(StartTicksOf("12 (x) S 1"), std::nullopt);
}

class ProcessTest : public ::testing::Test {
 protected:
  Result<ProcessId> Shell(const std::string& script) {
    return StartDetached({.program = "/bin/sh",
                          .arguments = {"-c", script},
                          .environment = {{"WORD", "hello"}},
                          .log = folder_.path().string() + "/log"});
  }
  TemporaryFolder folder_;
};

TEST_F(ProcessTest, StartsDetachedAndStops) {
  auto process = Shell("echo $WORD; exec sleep 100");
  ASSERT_TRUE(process.ok()) << process.status().message();
  EXPECT_TRUE(IsAlive(*process));
  EXPECT_EQ(getsid(process->pid), process->pid);
  ASSERT_TRUE(WritePidFile(folder_.path().string() + "/pid", *process).ok());
  EXPECT_TRUE(ReadLivePidFile(folder_.path().string() + "/pid").has_value());
  auto killed = Stop(*process, milliseconds(5000));
  ASSERT_TRUE(killed.ok());
  EXPECT_FALSE(*killed);
  EXPECT_FALSE(IsAlive(*process));
  EXPECT_FALSE(ReadLivePidFile(folder_.path().string() + "/pid").has_value());
}

TEST_F(ProcessTest, KillsWhatIgnoresTheFirstSignal) {
  auto process = Shell("trap '' TERM; echo ready; while :; do sleep 0.1; done");
  ASSERT_TRUE(process.ok());
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (Tail(folder_.path().string() + "/log", 1) != "ready" &&
         std::chrono::steady_clock::now() < until)
    usleep(2000);
  auto killed = Stop(*process, milliseconds(100));
  ASSERT_TRUE(killed.ok()) << killed.status().message();
  EXPECT_TRUE(*killed);
}

TEST_F(ProcessTest, AReusedPidIsNotOurs) {
  ProcessId other{getpid(), 1};  // alive, but started at another time
  EXPECT_FALSE(IsAlive(other));
  ASSERT_TRUE(WritePidFile(folder_.path().string() + "/pid", other).ok());
  EXPECT_FALSE(ReadLivePidFile(folder_.path().string() + "/pid").has_value());
}

TEST_F(ProcessTest, SaysWhatCannotBeRun) {
  auto process =
      StartDetached({.program = "/nonexistent/program", .log = folder_.path().string() + "/log"});
  ASSERT_FALSE(process.ok());
  EXPECT_THAT(process.status().message(), HasSubstr("cannot run /nonexistent/program"));
}

TEST_F(ProcessTest, TailIsTheLastLines) {
  std::string file = folder_.Write("t", "a\nb\nc\n");
  EXPECT_EQ(Tail(file, 2), "b\nc");
  EXPECT_EQ(Tail(file, 9), "a\nb\nc");
  EXPECT_EQ(Tail(folder_.path().string() + "/absent", 2), "");
}

TEST(LocalCluster, WritesItsFilesAndFindsThemAgain) {
  TemporaryFolder folder;
  LocalCluster cluster(folder.path(),
                       {.port = 7001, .metrics_port = 9001, .workers = 2, .device = "cpu"});
  ASSERT_TRUE(cluster.WriteFiles().ok());
  auto worker = ReadFile(folder.path().string() + "/worker-2.yaml");
  ASSERT_TRUE(worker.ok());
  EXPECT_THAT(*worker, HasSubstr("node: worker-2"));
  EXPECT_THAT(*worker, HasSubstr("127.0.0.1:7001"));
  auto file = ReadClusterFile(folder.path());
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->workers, 2);
  EXPECT_EQ(cluster.Daemons().size(), 3u);
  EXPECT_TRUE(cluster.RunningNames().empty());
}

TEST(HomeLock, OneAtATime) {
  TemporaryFolder folder;
  {
    auto first = HomeLock::Take(folder.path(), milliseconds(0));
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(HomeLock::Take(folder.path(), milliseconds(0)).status().code(),
              StatusCode::kUnavailable);
  }
  EXPECT_TRUE(HomeLock::Take(folder.path(), milliseconds(0)).ok());
}

}  // namespace
}  // namespace attune::cli
