// What `job submit --dry-run` says about memory, against what the kernel counted of the same job.

#include <gmock/gmock.h>

#include <regex>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;

constexpr char kModel[] = ".deps/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
// docs/operations.md promises it.
constexpr double kTolerance = 0.1;

class MemoryPredictionTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(fs::exists(kModel)) << "tools/setup brings it";
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
    Finished model = cluster_.Attune({"model", "import", "smollm2", fs::absolute(kModel).string()});
    ASSERT_EQ(model.exit_code, 0) << model.err;
    std::string rows = cluster_.Write("in/docs.jsonl", TextRows(300));
    ASSERT_EQ(cluster_.Attune({"dataset", "import", "docs", rows}).exit_code, 0);
  }

  // The sum of a metric's series on the worker's /metrics.
  double WorkerMetric(const std::string& name) {
    std::string address = cluster_.AttuneJson({"node", "list"})[0]["metrics_address"];
    std::string port = address.substr(address.rfind(':') + 1);
    Finished page =
        cluster_.Shell("", "exec 3<>/dev/tcp/127.0.0.1/" + port +
                               "; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
    double sum = 0;
    std::regex line(name + "\\{[^}]*\\} (\\S+)");
    for (std::sregex_iterator it(page.out.begin(), page.out.end(), line), end; it != end; ++it)
      sum += std::stod((*it)[1]);
    return sum;
  }

  // Waits until that many trainers have ended.
  void WaitForExits(int count) {
    EXPECT_TRUE(
        Eventually([&] { return WorkerMetric("attune_worker_trainer_exits_total") >= count; }));
  }

  double Predicted(const fs::path& spec) {
    Json plan = cluster_.AttuneJson({"job", "submit", spec.string(), "--dry-run"});
    WaitForExits(1);
    return plan["memory"]["total"];
  }

  // Peak resident size of the one trainer.
  double Measured(const fs::path& spec) {
    std::string job = cluster_.AttuneJson({"job", "submit", spec.string()})["id"];
    EXPECT_EQ(cluster_.WaitForEnd(job)["state"], "SUCCEEDED");
    WaitForExits(2);
    return WorkerMetric("attune_worker_trainer_memory_peak_bytes");
  }

  Cluster cluster_;
};

TEST_P(MemoryPredictionTest, IsWhatTheJobTakes) {
  fs::path spec = cluster_.Write(
      "job.yaml",
      "base: smollm2\ndataset: docs\nmethod: " + GetParam() +
          "\nranks: 1\ntrain: {max_steps: 2, sequence_length: 512, global_batch: 2, loss_on: all, "
          "threads: 2}\nevaluate: {max_examples: 2}\n");
  double predicted = Predicted(spec);
  double measured = Measured(spec);
  RecordProperty("predicted", std::to_string(predicted));
  RecordProperty("measured", std::to_string(measured));
  EXPECT_NEAR(predicted / measured, 1, kTolerance)
      << predicted << " predicted, " << measured << " measured";
}

INSTANTIATE_TEST_SUITE_P(Methods, MemoryPredictionTest, ::testing::Values("lora", "full"));

}  // namespace
}  // namespace attune::cluster
