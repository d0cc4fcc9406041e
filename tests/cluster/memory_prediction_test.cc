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

  // Peak resident size of the one trainer; the job is to say the same.
  double Measured(const fs::path& spec, double predicted) {
    std::string job = cluster_.AttuneJson({"job", "submit", spec.string()})["id"];
    Json ended = cluster_.WaitForEnd(job);
    EXPECT_EQ(ended["state"], "SUCCEEDED");
    EXPECT_EQ(ended["metrics"]["predicted_memory"], predicted);
    EXPECT_NEAR(ended["metrics"]["peak_memory"].get<double>() / predicted, 1, kTolerance);
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
  double measured = Measured(spec, predicted);
  RecordProperty("predicted", std::to_string(predicted));
  RecordProperty("measured", std::to_string(measured));
  EXPECT_NEAR(predicted / measured, 1, kTolerance)
      << predicted << " predicted, " << measured << " measured";
}

// 17 million parameters: 16 bytes each in full, and 0.2 GiB of a process.
TEST(MemoryAdmission, AJobThatCannotFitSaysWhatWouldAndThatRuns) {
  Cluster cluster;
  cluster.Use({{"ATTUNE_MEMORY_LIMIT", "380000000"}});
  ASSERT_NO_FATAL_FAILURE(cluster.Up(1));
  ASSERT_NO_FATAL_FAILURE(cluster.ImportTiny());
  const fs::path folder = cluster.home() / "in/middling";
  ASSERT_TRUE(testing::WriteTinyLlama(
                  folder, {.hidden = 256, .layers = 16, .heads = 8, .intermediate = 1024})
                  .ok());
  ASSERT_EQ(cluster.Attune({"model", "import", "middling", folder.string()}).exit_code, 0);
  const std::string spec =
      cluster
          .Write("job.yaml",
                 "base: middling\ndataset: docs\nmethod: {type: full}\nranks: 1\n"
                 "train: {max_steps: 3, sequence_length: 64, global_batch: 2, "
                 "activation_checkpointing: true}\n")
          .string();
  const Json refused =
      cluster.WaitForEnd(cluster.AttuneJson({"job", "submit", spec})["id"].get<std::string>());
  EXPECT_EQ(refused["state"], "FAILED");
  const std::string reason = refused["reason"];
  EXPECT_THAT(reason, ::testing::HasSubstr("rank 0 has 0.35 GiB (its memory limit)"));
  EXPECT_THAT(reason, ::testing::HasSubstr(". Set method.type: lora (needs 0."));
  EXPECT_EQ(refused.value("restarts", 0), 0);
  EXPECT_EQ(refused.value("step", 0), 0);
  EXPECT_EQ(refused["model"], "");

  const Json ended = cluster.WaitForEnd(
      cluster.AttuneJson({"job", "submit", spec, "--set", "method.type=lora"})["id"]
          .get<std::string>());
  EXPECT_EQ(ended["state"], "SUCCEEDED") << ended["reason"];
  EXPECT_GT(ended["metrics"]["predicted_memory"], 200 << 20);
  EXPECT_GT(ended["metrics"]["peak_memory"], 50 << 20);
  EXPECT_THAT(cluster.Attune({"job", "show", ended["id"]}).out,
              ::testing::ContainsRegex("Memory +[0-9.]+ MiB measured, [0-9.]+ MiB predicted"));
}

INSTANTIATE_TEST_SUITE_P(Methods, MemoryPredictionTest, ::testing::Values("lora", "full"));

}  // namespace
}  // namespace attune::cluster
