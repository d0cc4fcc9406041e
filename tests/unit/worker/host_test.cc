#include "worker/agent/host.h"

#include <gtest/gtest.h>

#include "worker/agent/gpu_query.h"

namespace attune::worker {
namespace {

TEST(ParseLoad, IsTheFirstNumber) {
  EXPECT_DOUBLE_EQ(ParseLoad("0.52 0.31 0.20 1/123 4567\n"), 0.52);
  EXPECT_DOUBLE_EQ(ParseLoad("broken"), 0);
}

TEST(ParseBusySeconds, LeavesOutIdleAndWaiting) {
  // user nice system idle iowait irq softirq steal
  EXPECT_DOUBLE_EQ(ParseBusySeconds("cpu  100 20 30 5000 600 4 5 1 9 9\ncpu0 1 1\n", 100), 1.6);
  EXPECT_DOUBLE_EQ(ParseBusySeconds("intr 5\n", 100), 0);
  EXPECT_DOUBLE_EQ(ParseBusySeconds("cpu 100\n", 0), 0);
}

TEST(ParseCpuMax, RoundsUpAndKnowsNoLimit) {
  EXPECT_EQ(ParseCpuMax("200000 100000\n"), 2u);
  EXPECT_EQ(ParseCpuMax("150000 100000\n"), 2u);
  EXPECT_EQ(ParseCpuMax("1000 100000\n"), 1u);
  EXPECT_EQ(ParseCpuMax("max 100000\n"), 0u);
  EXPECT_EQ(ParseCpuMax(""), 0u);
}

TEST(VisibleGpus, AreThoseThatAreNamedByNumberOrAll) {
  using Gpus = std::vector<uint32_t>;
  EXPECT_EQ(VisibleGpus("", 3), (Gpus{0, 1, 2}));
  EXPECT_EQ(VisibleGpus("2,0", 3), (Gpus{2, 0}));
  EXPECT_EQ(VisibleGpus("1,7", 3), (Gpus{1}));
  EXPECT_EQ(VisibleGpus("GPU-8932f937", 2), (Gpus{0, 1}));
  EXPECT_EQ(VisibleGpus("0", 0), Gpus());
}

TEST(ReadHostFacts, AreOfThisHost) {
  EXPECT_GE(ReadHostFacts().cores, 1u);
  EXPECT_GT(ReadHostFacts().memory_bytes, 1u << 20);
  EXPECT_GT(ReadHostLoad().memory_free_bytes, 0u);
  EXPECT_FALSE(HostName().empty());
}

}  // namespace
}  // namespace attune::worker
