// From submit to a registered model, undisturbed.

#include <gmock/gmock.h>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class JobTest : public ::testing::Test {
 protected:
  // The job's model, with everything that lineage promises.
  void ExpectLineage(const Json& job, const std::string& base, const std::string& dataset) {
    Json model = cluster_.AttuneJson({"model", "show", job["model"].get<std::string>()});
    EXPECT_EQ(model["lineage"]["job_id"], job["id"]);
    EXPECT_EQ(model["lineage"]["base"], base);
    EXPECT_EQ(model["lineage"]["datasets"][0], dataset);
    Json data = cluster_.AttuneJson({"dataset", "show", dataset});
    EXPECT_EQ(model["lineage"]["dataset_checksums"][0], data["checksum"]);
    EXPECT_NE(model["lineage"]["code_version"], "");
    EXPECT_THAT(model["lineage"]["spec"].get<std::string>(), HasSubstr("learning_rate"));
    EXPECT_TRUE(model["metrics"].contains("validation_loss")) << model.dump(1);
    EXPECT_TRUE(fs::exists(fs::path(model["path"].get<std::string>())));
  }

  Cluster cluster_;
};

TEST_F(JobTest, FullFineTuningOnTwoRanksBecomesAModelThatGenerates) {
  ASSERT_NO_FATAL_FAILURE(cluster_.Up(2));
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  fs::path spec = cluster_.Write(
      "job.yaml", Spec("first", 2, 30,
                       "optimizer: {learning_rate: 3e-3}\nevaluate: {every_steps: 10}\n"
                       "checkpoint: {every_steps: 10, keep: 2}\nregister: {model: tuned}\n"));
  Finished watched = cluster_.Attune({"job", "submit", spec.string(), "--watch"});
  ASSERT_EQ(watched.exit_code, 0) << watched.out << watched.err;

  Json job = cluster_.Show("first");
  EXPECT_EQ(job["state"], "SUCCEEDED");
  EXPECT_EQ(job["step"], 30);
  EXPECT_EQ(job["total_steps"], 30);
  EXPECT_EQ(job["ranks"], 2);
  EXPECT_EQ(job["model"], "tuned@1");
  std::map<int, double> losses = cluster_.Losses("first");
  ASSERT_EQ(losses.size(), 30u);
  EXPECT_LT(losses[30], losses[1]);
  EXPECT_GE(cluster_.ValidationLosses("first").size(), 3u);
  ExpectLineage(job, "tiny@1", "docs@1");
  EXPECT_NE(cluster_.Attune({"job", "logs", "first"}).out, "");

  std::vector<Json> answers = cluster_.AttuneLines(
      {"model", "generate", "tuned", "--prompt", "What is 1 plus 1?", "--max-tokens", "8"});
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0]["prompt"], "What is 1 plus 1?");
  EXPECT_TRUE(answers[0].contains("text"));
  const Finished streamed = cluster_.Attune({"model", "generate", "tuned", "--prompt",
                                             "What is 1 plus 1?", "--max-tokens", "8", "--stream"});
  ASSERT_EQ(streamed.exit_code, 0) << streamed.err;
  EXPECT_EQ(streamed.out, answers[0]["text"].get<std::string>() + "\n");

  fs::path folder = cluster_.home() / "exported";
  Finished exported = cluster_.Attune({"model", "export", "tuned", folder.string()});
  EXPECT_EQ(exported.exit_code, 0) << exported.err;
  for (const char* file :
       {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    EXPECT_TRUE(fs::exists(folder / file)) << file;
  }
  // What was exported is a model that the registry takes again.
  EXPECT_EQ(cluster_.Attune({"model", "import", "again", folder.string()}).exit_code, 0);
  EXPECT_EQ(cluster_.Attune({"down"}).exit_code, 0);
  EXPECT_EQ(cluster_.Pid("coordinator"), 0);
}

TEST_F(JobTest, Bfloat16LearnsAndBecomesAModel) {
  ASSERT_NO_FATAL_FAILURE(cluster_.Up(2));
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  for (const char* method : {"full", "lora"}) {
    std::string name = "half-" + std::string(method);
    std::string job = cluster_.Submit(
        "name: " + name + "\nbase: tiny\ndataset: docs\nmethod: " + method +
        "\nranks: 2\ntrain: {epochs: 100, max_steps: 30, sequence_length: 64, global_batch: 4, "
        "precision: bfloat16, threads: 1}\noptimizer: {learning_rate: 3e-3}\n");
    Json ended = cluster_.WaitForEnd(job);
    ASSERT_EQ(ended["state"], "SUCCEEDED") << ended.dump(1);
    std::map<int, double> losses = cluster_.Losses(job);
    ASSERT_EQ(losses.size(), 30u);
    EXPECT_LT(losses[30], 0.95 * losses[1]) << method;
    std::map<int, double> validation = cluster_.ValidationLosses(job);
    EXPECT_LT(validation[30], 0.95 * validation[0]) << method;
    ExpectLineage(ended, "tiny@1", "docs@1");
    std::vector<Json> answers =
        cluster_.AttuneLines({"model", "generate", name, "--prompt", "What is 1 plus 1?"});
    EXPECT_EQ(answers.size(), 1u);
  }
}

TEST_F(JobTest, LoraBecomesAnAdapterThatMergesAndTrainsOn) {
  ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  std::string job = cluster_.Submit(
      "name: adapt\nbase: tiny\ndataset: docs\nmethod: {type: lora, rank: 4, alpha: 8}\nranks: 1\n"
      "train: {max_steps: 10, epochs: 10, sequence_length: 64, global_batch: 4, threads: 1}\n");
  Json shown = cluster_.WaitForEnd(job);
  ASSERT_EQ(shown["state"], "SUCCEEDED") << shown.dump(1);
  EXPECT_EQ(shown["model"], "adapt@1");
  Json model = cluster_.AttuneJson({"model", "show", "adapt"});
  EXPECT_EQ(model["format"], "peft-adapter");
  EXPECT_EQ(model["base"], "tiny@1");
  ExpectLineage(shown, "tiny@1", "docs@1");

  fs::path adapter = cluster_.home() / "adapter", merged = cluster_.home() / "merged";
  Finished plain = cluster_.Attune({"model", "export", "adapt", adapter.string()});
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_TRUE(fs::exists(adapter / "adapter_model.safetensors"));
  Finished whole =
      cluster_.Attune({"model", "export", "adapt", merged.string(), "--merge", "-o", "json"});
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const Json moved = Json::parse(whole.out)["moved"];
  EXPECT_EQ(moved["source"], "validation of docs@1") << moved;
  EXPECT_GT(moved["tokens"], 0);
  EXPECT_LT(moved["kl"], 1e-6);
  EXPECT_GE(moved["kl"], 0.0);
  EXPECT_NEAR(moved["loss_before"].get<double>(), moved["loss_after"].get<double>(), 1e-4);
  EXPECT_GT(moved["same_top_token"], 0.99);
  EXPECT_THAT(whole.err, HasSubstr("merged outputs: loss "));
  EXPECT_TRUE(fs::exists(merged / "model.safetensors"));
  EXPECT_EQ(cluster_.Attune({"model", "import", "merged", merged.string()}).exit_code, 0);

  // Base and adapters answer side by side, each as it does alone.
  const auto alone = [&](const std::string& name) -> Json {
    return cluster_.AttuneLines({"model", "generate", name, "--prompt", "What is 1 plus 1?"}).at(0);
  };
  const auto both =
      cluster_.AttuneLines({"model", "generate", "tiny", "--prompt", "What is 1 plus 1?",
                            "--adapter", "adapt", "--adapter", "tiny"});
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0]["model"], "adapt@1");
  EXPECT_EQ(both[0]["text"], alone("adapt")["text"]);
  EXPECT_EQ(both[1]["model"], "tiny@1");
  EXPECT_EQ(both[1]["text"], alone("tiny")["text"]);
  const Finished other = cluster_.Attune(
      {"model", "generate", "merged", "--prompt", "What is 1 plus 1?", "--adapter", "adapt"});
  EXPECT_NE(other.exit_code, 0);
  EXPECT_THAT(other.err, HasSubstr("adapt@1 is an adapter of tiny@1"));
}

TEST_F(JobTest, DryRunPlansAndTrainsNothing) {
  ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  fs::path spec = cluster_.Write("job.yaml", Spec("planned", 1, 5));
  Finished plan = cluster_.Attune({"job", "submit", spec.string(), "--dry-run", "-o", "json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("5"));
  EXPECT_TRUE(cluster_.AttuneJson({"job", "list"}).empty() ||
              cluster_.AttuneJson({"job", "list"})["jobs"].empty());
  EXPECT_NE(cluster_.Attune({"model", "show", "planned"}).exit_code, 0);
}

TEST_F(JobTest, SameLossOnOneAndOnTwoRanks) {
  ASSERT_NO_FATAL_FAILURE(cluster_.Up(2));
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  std::string one = cluster_.Submit(Spec("one", 1, 20));
  ASSERT_EQ(cluster_.WaitForEnd(one)["state"], "SUCCEEDED");
  std::string two = cluster_.Submit(Spec("two", 2, 20));
  ASSERT_EQ(cluster_.WaitForEnd(two)["state"], "SUCCEEDED");
  std::map<int, double> a = cluster_.Losses(one), b = cluster_.Losses(two);
  ASSERT_EQ(a.size(), 20u);
  ASSERT_EQ(b.size(), 20u);
  for (const auto& [step, loss] : a) EXPECT_NEAR(b[step], loss, 5e-5) << step;
}

TEST_F(JobTest, CancelPauseAndResume) {
  ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  std::string job = cluster_.Submit(Spec("long", 1, 100000));
  cluster_.WaitForStep(job, 3);
  Finished pause = cluster_.Attune({"job", "pause", job});
  ASSERT_EQ(pause.exit_code, 0) << pause.err;
  cluster_.WaitFor(job, [](const Json& shown) { return shown["state"] == "PAUSED"; });
  EXPECT_TRUE(Eventually([&] { return cluster_.Trainers().empty(); }));
  int paused_at = cluster_.Show(job)["step"];
  ASSERT_EQ(cluster_.Attune({"job", "resume", job}).exit_code, 0);
  cluster_.WaitForStep(job, paused_at + 3);
  ASSERT_EQ(cluster_.Attune({"job", "cancel", job, "--reason", "enough"}).exit_code, 0);
  Json ended = cluster_.WaitForEnd(job);
  EXPECT_EQ(ended["state"], "CANCELLED");
  EXPECT_THAT(ended["reason"].get<std::string>(), HasSubstr("enough"));
  EXPECT_TRUE(Eventually([&] { return cluster_.Trainers().empty(); }));
}

}  // namespace
}  // namespace attune::cluster
