#include "worker/agent/gpu_probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <string>
#include <thread>

#include "worker/agent/metrics.h"

namespace attune::worker {
namespace {

using std::chrono::milliseconds;

// Answers once; then hangs until the test lets it go.
struct Driver {
  std::promise<void> hangs, release;
};
class HangingQuery final : public GpuQuery {
 public:
  explicit HangingQuery(Driver* driver) : driver_(driver) {}
  std::vector<GpuLoad> Read() override {
    if (++readings_ == 2) {
      driver_->hangs.set_value();
      driver_->release.get_future().wait();
    }
    return {{.index = "0", .memory_bytes = 7}};
  }

 private:
  Driver* const driver_;
  int readings_ = 0;
};

bool Await(const GpuProbe& probe, size_t gpus) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (probe.Loads().size() != gpus) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

TEST(GpuProbe, TellsTheLastReadingWhileTheDriverIsWaitedFor) {
  Driver driver;
  GpuProbe probe(std::make_unique<HangingQuery>(&driver),
                 {.interval = milliseconds(1), .patience = std::chrono::hours(1)});
  driver.hangs.get_future().wait();
  const std::vector<GpuLoad> loads = probe.Loads();
  driver.release.set_value();
  ASSERT_EQ(loads.size(), 1u);
  EXPECT_EQ(loads[0].memory_bytes, 7u);
}

TEST(GpuProbe, TellsOfNoGpuWhileTheDriverHangs) {
  Driver driver;
  GpuProbe probe(std::make_unique<HangingQuery>(&driver),
                 {.interval = milliseconds(1), .patience = milliseconds(0)});
  driver.hangs.get_future().wait();
  EXPECT_TRUE(Await(probe, 0));
  driver.release.set_value();
  EXPECT_TRUE(Await(probe, 1));
}

std::vector<std::string> GpusShown(const WorkerMetrics& metrics, const std::string& family) {
  std::vector<std::string> gpus;
  for (const auto& entry : metrics.Collect()) {
    if (entry.name != family) continue;
    for (const auto& metric : entry.metric) {
      for (const auto& label : metric.label) {
        if (label.name == "gpu") gpus.push_back(label.value);
      }
    }
  }
  std::sort(gpus.begin(), gpus.end());
  return gpus;
}

TEST(WorkerMetrics, ShowNoGpuThatNoLongerAnswers) {
  using Gpus = std::vector<std::string>;
  WorkerMetrics metrics("node-1");
  for (const Gpus& gpus : {Gpus{"0", "1"}, Gpus{"1"}, Gpus{}, Gpus{"0"}}) {
    std::vector<GpuLoad> loads;
    for (const std::string& gpu : gpus) loads.push_back({.index = gpu});
    metrics.SetGpuLoads(loads);
    for (const char* family :
         {"attune_worker_gpu_memory_bytes", "attune_worker_gpu_memory_used_bytes",
          "attune_worker_gpu_busy_ratio", "attune_worker_gpu_temperature_celsius"}) {
      EXPECT_EQ(GpusShown(metrics, family), gpus) << family;
    }
  }
}

}  // namespace
}  // namespace attune::worker
