#include "worker/engine/parallel/host_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kMiB = 1 << 20;

// A root folder with what a kernel would say.
class HostMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Write("proc/meminfo", "MemTotal:       8192 kB\nMemFree:  12 kB\n");
    Write("proc/sys/kernel/random/boot_id", "3f2a\n");
  }

  void Write(const std::string& file, const std::string& content) const {
    fs::create_directories((root_.path() / file).parent_path());
    root_.Write(file, content);
  }

  // "NAME BYTES" of each pool.
  std::vector<std::string> Pools() const {
    std::vector<std::string> texts;
    for (const MemoryPool& pool : HostPools(root_.path())) {
      texts.push_back(pool.name + " " + std::to_string(pool.bytes));
    }
    return texts;
  }

  TemporaryFolder root_;
};

TEST_F(HostMemoryTest, IsTheHostsWithoutGroups) {
  EXPECT_THAT(Pools(), ElementsAre("the host 8388608"));
}

TEST_F(HostMemoryTest, EveryGroupAroundTheProcessLimitsIt) {
  Write("proc/self/cgroup", "0::/pods/one/main\n");
  Write("sys/fs/cgroup/pods/one/main/memory.max", "max\n");
  Write("sys/fs/cgroup/pods/one/memory.max", "2097152\n");
  Write("sys/fs/cgroup/pods/memory.max", "4194304\n");
  Write("sys/fs/cgroup/pods/two/memory.max", "1048576\n");
  Write("sys/fs/cgroup/memory.max", "8388608\n");  // no less than the host has
  EXPECT_THAT(Pools(), ElementsAre("the host 8388608", "control group /pods/one 2097152",
                                   "control group /pods 4194304"));
}

TEST_F(HostMemoryTest, KnowsTheFirstVersionBesideTheSecond) {
  Write("proc/self/cgroup", "4:cpu,cpuacct:/batch\n3:memory:/batch/job\n0::/\n");
  Write("sys/fs/cgroup/memory/batch/job/memory.limit_in_bytes", "3145728\n");
  Write("sys/fs/cgroup/memory/batch/memory.limit_in_bytes", "9223372036854771712\n");  // none
  EXPECT_THAT(Pools(), ElementsAre("the host 8388608", "control group /batch/job 3145728"));
}

TEST_F(HostMemoryTest, InAContainerTheTopIsItsGroup) {
  Write("sys/fs/cgroup/memory.max", "1048576\n");
  for (const char* group : {"/docker/5f3c", "/", "/../other"}) {
    Write("proc/self/cgroup", std::string("0::") + group + "\n");
    EXPECT_THAT(Pools(), ElementsAre("the host 8388608", "control group / 1048576")) << group;
  }
}

TEST_F(HostMemoryTest, WhatIsFreeIsBoundByEveryGroup) {
  EXPECT_EQ(FreeHostBytes(root_.path()), std::nullopt);
  Write("proc/meminfo", "MemTotal:       8192 kB\nMemAvailable:   4096 kB\n");
  EXPECT_EQ(FreeHostBytes(root_.path()), 4096 << 10);
  Write("proc/self/cgroup", "0::/pods/one\n");
  Write("sys/fs/cgroup/pods/one/memory.max", "3145728\n");
  Write("sys/fs/cgroup/pods/one/memory.stat", "anon 1048576\nfile 2097152\n");
  EXPECT_EQ(FreeHostBytes(root_.path()), 2 << 20) << "files are given back";
  Write("sys/fs/cgroup/pods/memory.max", "4194304\n");
  Write("sys/fs/cgroup/pods/memory.stat", "anon 3670016\n");
  EXPECT_EQ(FreeHostBytes(root_.path()), 512 << 10) << "others are in the group around it";
  Write("proc/self/cgroup", "3:memory:/batch\n");
  Write("sys/fs/cgroup/memory/batch/memory.limit_in_bytes", "1048576\n");
  Write("sys/fs/cgroup/memory/batch/memory.stat", "rss 1\ntotal_rss 2097152\n");
  EXPECT_EQ(FreeHostBytes(root_.path()), 0);
}

TEST_F(HostMemoryTest, TwoProcessesNameAPoolAlikeAndTwoGroupsDiffer) {
  Write("proc/self/cgroup", "0::/one\n");
  Write("sys/fs/cgroup/one/memory.max", "1048576\n");
  Write("sys/fs/cgroup/two/memory.max", "1048576\n");
  const auto one = HostPools(root_.path());
  EXPECT_EQ(one, HostPools(root_.path()));
  Write("proc/self/cgroup", "0::/two\n");
  const auto two = HostPools(root_.path());
  ASSERT_EQ(one.size(), 2u);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(one[0].id, two[0].id);
  EXPECT_NE(one[1].id, two[1].id);
  Write("proc/sys/kernel/random/boot_id", "77aa\n");
  EXPECT_NE(HostPools(root_.path())[0].id, one[0].id);
}

TEST_F(HostMemoryTest, NonsenseIsNoLimit) {
  Write("proc/self/cgroup", "nonsense\n0:\n::\n0::/a\n");
  Write("sys/fs/cgroup/a/memory.max", "much\n");
  Write("sys/fs/cgroup/memory.max", "-5\n");
  EXPECT_THAT(Pools(), ElementsAre("the host 8388608"));
  Write("proc/meminfo", "");
  EXPECT_THAT(Pools(), IsEmpty());
}

TEST_F(HostMemoryTest, ThePeakIsTheProcesss) {
  EXPECT_EQ(PeakResidentBytes(root_.path()), 0);
  Write("proc/self/status", "VmPeak:  9999 kB\nVmHWM:\t  2048 kB\nVmRSS:  100 kB\n");
  EXPECT_EQ(PeakResidentBytes(root_.path()), 2 * kMiB);
}

TEST(HostMemory, OfThisHost) {
  const auto pools = HostPools();
  ASSERT_FALSE(pools.empty());
  EXPECT_GT(pools[0].bytes, 64 * kMiB);
  EXPECT_GT(PeakResidentBytes(), kMiB);
  EXPECT_LT(PeakResidentBytes(), pools[0].bytes);
}

}  // namespace
}  // namespace attune::engine
