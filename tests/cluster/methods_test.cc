// Every method of fine-tuning from submit to a registered model that answers, goes out and merges.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class MethodsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
    ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  }

  // Trains with the method, and has the adapter answer. Returns the adapter's configuration.
  Json Trained(const std::string& name, const std::string& method, const std::string& more = "") {
    const std::string id = cluster_.Submit(
        "name: " + name + "\nbase: tiny\ndataset: docs\nmethod: " + method +
        "\ntrain: {max_steps: 12, sequence_length: 64, global_batch: 8, threads: 1" + more +
        "}\noptimizer: {learning_rate: 1e-2}\n");
    const Json job = cluster_.WaitForEnd(id);
    EXPECT_EQ(job["state"], "SUCCEEDED") << job.dump(1);
    EXPECT_LT(job["metrics"]["validation_loss"], job["metrics"]["first_validation_loss"]) << name;
    const auto answers =
        cluster_.AttuneLines({"model", "generate", name, "--prompt", "What is 1 plus 1?"});
    EXPECT_EQ(answers.size(), 1u);
    const Finished exported =
        cluster_.Attune({"model", "export", name, (cluster_.home() / name).string()});
    EXPECT_EQ(exported.exit_code, 0) << exported.err;
    return Json::parse(cluster_.Read(name + "/adapter_config.json"), nullptr, false);
  }

  // How far the merged model is from base and adapter.
  Json Moved(const std::string& name) {
    const Finished merged =
        cluster_.Attune({"model", "export", name, (cluster_.home() / (name + "-merged")).string(),
                         "--merge", "-o", "json"});
    EXPECT_EQ(merged.exit_code, 0) << merged.err;
    return Json::parse(merged.out, nullptr, false)["moved"];
  }

  Cluster cluster_;
};

TEST_F(MethodsTest, EachBecomesAModel) {
  const Json dora =
      Trained("dora", "{type: lora, rank: 4, dora: true, modules_to_save: [model.norm]}");
  EXPECT_EQ(dora["use_dora"], true);
  EXPECT_EQ(dora["modules_to_save"], Json({"model.norm"}));
  EXPECT_LT(Moved("dora")["kl"], 1e-6);

  const Json stabilized =
      Trained("stable", "{type: lora, rank: 4, rank_stabilized: true, layers: [1]}");
  EXPECT_EQ(stabilized["use_rslora"], true);
  EXPECT_EQ(stabilized["layers_to_transform"], Json({1}));
  EXPECT_LT(Moved("stable")["kl"], 1e-6);

  const Json quantised = Trained("quantised", "{type: qlora, rank: 4}");
  EXPECT_EQ(quantised["peft_type"], "LORA");
  EXPECT_LT(Moved("quantised")["kl"], 1e-6) << "the base that is merged into is the whole one";

  const Json half = Trained("half", "{type: lora, rank: 4}", ", precision: bfloat16");
  EXPECT_EQ(half["r"], 4);
  const Json job = cluster_.Show("half");
  EXPECT_GT(job["metrics"]["predicted_memory"].get<double>(), 0);
  EXPECT_GT(job["metrics"]["peak_memory"].get<double>(), 0);
}

// Names of modules that are not there are answered with the nearest that are.
TEST_F(MethodsTest, AWrongModuleIsNamedWithTheNearest) {
  const Json job = cluster_.WaitForEnd(cluster_.Submit(
      "name: wrong\nbase: tiny\ndataset: docs\nmethod: {type: lora, target_modules: [qproj]}\n"
      "train: {max_steps: 2, sequence_length: 64}\n"));
  EXPECT_EQ(job["state"], "FAILED");
  EXPECT_THAT(job["reason"].get<std::string>(), HasSubstr("qproj"));
  EXPECT_THAT(job["reason"].get<std::string>(), HasSubstr("q_proj"));
}

}  // namespace
}  // namespace attune::cluster
