// EVALUATE and EMBED through processes: what users see, and lines as the contract has them.

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>

#include <cmath>

#include "attune/v1/jobs.grpc.pb.h"
#include "common/gates/lines.h"
#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class EvaluateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
    ASSERT_NO_FATAL_FAILURE(
        RestartWorker("judges: {half: [sh, -c, \"cat > /dev/null; echo 0.5\"]}\n"));
    ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
    std::string rows;
    for (int i = 0; i < 40; ++i) {
      const Json row = {{"prompt", "Is " + std::to_string(i) + " even?"},
                        {"completion", i % 2 == 0 ? " yes" : " no"},
                        {"metadata", {{"language", i % 4 < 2 ? "en" : "de"}}}};
      rows += row.dump() + "\n";
    }
    const Finished imported =
        cluster_.Attune({"dataset", "import", "quiz",
                         cluster_.Write("in/quiz.jsonl", rows).string(), "--validation", "0.4"});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
  }

  // kill -9, and a new one on the same configuration and these further lines.
  void RestartWorker(const std::string& more) {
    cluster_.Kill(cluster_.Pid("worker-1"));
    const fs::path config =
        cluster_.Write("worker-again.yaml", cluster_.Read("worker-1.yaml") + more);
    Start({std::string(ATTUNE_BIN_DIR) + "/attune-worker", "--config", config.string()},
          {{"HOME", cluster_.home().string()}, {"ATTUNE_EXIT_WITH", std::to_string(getpid())}},
          cluster_.home() / "logs/worker-again.log");
    ASSERT_TRUE(Eventually([&] {
      const Json nodes = cluster_.AttuneJson({"node", "list"});
      return !nodes.empty() && nodes[0]["state"] == "READY";
    }));
  }

  Finished Evaluate(std::vector<std::string> options) {
    options.insert(options.begin(), {"model", "evaluate", "tiny", "--dataset", "quiz"});
    return cluster_.Attune(options);
  }

  Cluster cluster_;
};

// All that gates will ask of the lines, they give.
TEST_F(EvaluateTest, ItsLinesAreTheFactsThatGatesRead) {
  const std::vector<std::string> options = {
      "--metric",       "exact_match", "--metric",     "regex=(?s).*",
      "--metric",       "judge=half",  "--metric",     "accuracy=yes,no",
      "--slice",        "language",    "--slice",      "length",
      "--max-examples", "8",           "--max-tokens", "6",
      "--dtype",        "bfloat16"};
  std::vector<std::string> jsonl = options;
  jsonl.insert(jsonl.end(), {"-o", "jsonl"});
  const Finished evaluated = Evaluate(jsonl);
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.err;

  v1::EvaluateRequest request;
  v1::Suite* suite = request.add_suites();
  suite->set_name("quiz");
  for (const char* name : {"exact_match", "regex", "judge", "accuracy"}) {
    suite->add_metrics()->set_name(name);
  }
  gates::FactsReader reader("tiny@1", "job", request);
  std::istringstream lines(evaluated.out);
  for (std::string line; std::getline(lines, line);) {
    const Status status = reader.AddLine(line);
    ASSERT_TRUE(status.ok()) << status.ToString() << ": " << line;
  }
  const auto facts = reader.Finish();
  ASSERT_TRUE(facts.ok()) << facts.status().ToString();
  ASSERT_EQ(facts->examples_size(), 8);
  for (const v1::ExampleFacts& example : facts->examples()) {
    EXPECT_GT(example.loss_sum(), 0);
    EXPECT_EQ(example.scores().at("regex"), 1);
    EXPECT_EQ(example.scores().at("judge"), 0.5);
    EXPECT_EQ(example.slices().at("length"), "0-127");
    EXPECT_TRUE(example.slices().at("language") == "en" || example.slices().at("language") == "de");
    EXPECT_THAT(example.prompt(), HasSubstr("even?"));
  }
  EXPECT_EQ(facts->artifact().dtype(), "bfloat16");
  EXPECT_GT(facts->artifact().tokens_per_second(), 0);
  for (const auto& run : fs::directory_iterator(cluster_.storage() / "runs")) {
    EXPECT_FALSE(fs::exists(run.path() / "measured"));
  }

  const Finished table = Evaluate(options);
  ASSERT_EQ(table.exit_code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("language=en"));
  EXPECT_THAT(table.out, HasSubstr("judge"));
  const Json jobs = cluster_.AttuneJson({"job", "list", "--all"});
  EXPECT_THAT(jobs.dump(), HasSubstr("EVALUATE"));
  EXPECT_EQ(cluster_.AttuneJson({"job", "list"}).dump().find("EVALUATE"), std::string::npos);
}

TEST_F(EvaluateTest, WhatCannotBeMeasuredIsRefusedWithAWayOut) {
  Finished refused = Evaluate({"--metric", "bleu"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("rouge_l"));
  refused = Evaluate({"--metric", "regex=["});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("RE2"));
  refused = Evaluate({"--metric", "judge=nobody"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("no judge 'nobody'; it has half"));
  ASSERT_EQ(cluster_
                .Attune({"dataset", "import", "whole", cluster_.home().string() + "/in/quiz.jsonl",
                         "--validation", "0"})
                .exit_code,
            0);
  refused = cluster_.Attune({"model", "evaluate", "tiny", "--dataset", "whole"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("the validation split of whole@1 has no example"));
  const fs::path texts = cluster_.Write("in/texts.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  ASSERT_EQ(cluster_.Attune({"dataset", "import", "texts", texts.string()}).exit_code, 0);
  refused = cluster_.Attune({"model", "evaluate", "tiny", "--dataset", "texts", "--split", "train",
                             "--metric", "exact_match"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("plain texts"));
}

TEST_F(EvaluateTest, AnEmbeddingHasALineForEachRow) {
  const std::string config = cluster_.Read("coordinator.yaml");
  const size_t begin = config.find("127.0.0.1:");
  const std::string address = config.substr(begin, config.find_first_of("'\"\n", begin) - begin);
  const auto stub =
      v1::JobService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  v1::SubmitJobRequest request;
  request.set_request_id("embed-1");
  request.set_kind(v1::Job::EMBED);
  request.set_update("update-7");
  request.mutable_task()->mutable_embed()->set_model("tiny");
  request.mutable_task()->mutable_embed()->set_dataset("quiz");
  request.mutable_task()->mutable_embed()->set_max_tokens(16);
  v1::Job job;
  grpc::ClientContext submit;
  const grpc::Status submitted = stub->SubmitJob(&submit, request, &job);
  ASSERT_TRUE(submitted.ok()) << submitted.error_message();
  EXPECT_EQ(job.update(), "update-7");
  ASSERT_EQ(cluster_.WaitForEnd(job.id())["state"], "SUCCEEDED");
  std::istringstream lines(cluster_.Read("storage/runs/" + job.id() + "/output.jsonl"));
  std::string last;
  int count = 0;
  for (std::string text; std::getline(lines, text); ++count) {
    v1::EmbedLine line;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(text, &line).ok()) << text;
    EXPECT_LT(last, line.id());
    EXPECT_LE(line.tokens(), 16u);
    EXPECT_GT(line.loss(), 0);
    EXPECT_GT(line.entropy(), 0);
    EXPECT_EQ(line.embedding().size(), 32 * sizeof(float));
    last = line.id();
  }
  EXPECT_EQ(count, 40);
}

}  // namespace
}  // namespace attune::cluster
