// What a user gets wrong: a clear error, the right exit code, and nothing left behind.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kUsage = 2, kNotFound = 3, kConflict = 5, kUnavailable = 6;

// A loopback port that is taken while the object lives.
class TakenPort {
 public:
  TakenPort() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(fd_, reinterpret_cast<sockaddr*>(&address), size);
    listen(fd_, 1);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~TakenPort() { close(fd_); }
  int port() const { return port_; }

 private:
  const int fd_;
  int port_ = 0;
};

TEST(WithoutCluster, CoordinatorAbsentIsUnavailable) {
  Cluster cluster;
  int free_port = TakenPort().port();
  Finished list =
      cluster.Attune({"job", "list", "--address", "127.0.0.1:" + std::to_string(free_port)});
  EXPECT_EQ(list.exit_code, kUnavailable) << list.err;
  EXPECT_THAT(list.err, HasSubstr(std::to_string(free_port)));
  EXPECT_THAT(list.err, HasSubstr("attune up"));
  EXPECT_EQ(list.out, "");
}

TEST(WithoutCluster, TakenPortIsNamedAndNothingRuns) {
  Cluster cluster;
  TakenPort taken;
  Finished up = cluster.Attune({"up", "--workers", "1", "--port", std::to_string(taken.port()),
                                "--metrics-port", "0", "--device", "cpu"});
  EXPECT_NE(up.exit_code, 0);
  EXPECT_THAT(up.err, HasSubstr(std::to_string(taken.port())));
  EXPECT_TRUE(DescendantsNamed(getpid(), "attune-coordinator").empty());
  EXPECT_TRUE(DescendantsNamed(getpid(), "attune-worker").empty());
}

// One cluster for all: bad input must leave it as good as before.
class BadInputTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = new Cluster;
    ASSERT_NO_FATAL_FAILURE(cluster_->Up(2));
    ASSERT_NO_FATAL_FAILURE(cluster_->ImportTiny());
  }
  static void TearDownTestSuite() {
    // Still alive and well.
    if (cluster_->Pid("coordinator") != 0) {
      EXPECT_EQ(cluster_->WaitForEnd(cluster_->Submit(Spec("after", 2, 3)))["state"], "SUCCEEDED");
    } else {
      ADD_FAILURE() << "the coordinator did not survive bad input";
    }
    delete cluster_;
    cluster_ = nullptr;
  }

  Finished SubmitFile(const std::string& spec) {
    return cluster_->Attune({"job", "submit", cluster_->Write("bad.yaml", spec).string()});
  }

  void ExpectNoModel(const std::string& name) {
    EXPECT_EQ(cluster_->Attune({"model", "show", name}).exit_code, kNotFound);
    EXPECT_FALSE(fs::exists(cluster_->storage() / "models" / name));
  }

  void ExpectImportRefused(const fs::path& path, const std::string& reason) {
    Finished import = cluster_->Attune({"model", "import", "bad", path.string()});
    EXPECT_EQ(import.exit_code, kUsage) << import.err;
    EXPECT_THAT(import.err, HasSubstr(reason));
    EXPECT_THAT(import.err, Not(HasSubstr(".import")));
    ExpectNoModel("bad");
  }

  // A job that the trainers refuse: it fails once, with the reason, and is not retried.
  void ExpectJobFails(const std::string& spec, const std::string& reason) {
    std::string job = cluster_->Submit(spec);
    Json ended = cluster_->WaitForEnd(job);
    EXPECT_EQ(ended["state"], "FAILED");
    EXPECT_THAT(ended["reason"].get<std::string>(), HasSubstr(reason));
    EXPECT_EQ(ended.value("restarts", 0), 0);
    EXPECT_EQ(ended["model"], "");
  }

  static Cluster* cluster_;
};

Cluster* BadInputTest::cluster_ = nullptr;

TEST_F(BadInputTest, UnknownKeyNamesPlaceAndNearestKey) {
  Finished submit = SubmitFile(Spec("typo", 1, 3, "optimizer: {lerning_rate: 1e-3}\n"));
  EXPECT_EQ(submit.exit_code, kUsage);
  EXPECT_THAT(submit.err, HasSubstr("bad.yaml:7:13"));
  EXPECT_THAT(submit.err, HasSubstr("learning_rate"));
  EXPECT_THAT(submit.err, HasSubstr("^"));
  EXPECT_EQ(cluster_->Attune({"job", "show", "typo"}).exit_code, kNotFound);
}

TEST_F(BadInputTest, WrongTypeNamesPlace) {
  Finished submit = SubmitFile(Spec("typo", 1, 3, "checkpoint: {every_steps: often}\n"));
  EXPECT_EQ(submit.exit_code, kUsage);
  EXPECT_THAT(submit.err, HasSubstr("bad.yaml:7:"));
  EXPECT_THAT(submit.err, HasSubstr("often"));
}

TEST_F(BadInputTest, MissingModelAndDataset) {
  Finished model = SubmitFile("base: absent\ndataset: docs\nmethod: full\n");
  EXPECT_EQ(model.exit_code, kNotFound) << model.err;
  EXPECT_THAT(model.err, HasSubstr("absent"));
  EXPECT_THAT(model.err, HasSubstr("tiny"));
  Finished dataset = SubmitFile("base: tiny\ndataset: absent\nmethod: full\n");
  EXPECT_EQ(dataset.exit_code, kNotFound) << dataset.err;
  EXPECT_THAT(dataset.err, HasSubstr("docs"));
}

TEST_F(BadInputTest, DamagedModels) {
  fs::path folder = cluster_->home() / "in/damaged";
  ASSERT_TRUE(testing::WriteTinyLlama(folder).ok());
  std::string weights = cluster_->Read("in/damaged/model.safetensors");
  cluster_->Write("in/damaged/model.safetensors", weights.substr(0, weights.size() / 2));
  ExpectImportRefused(folder, "model.safetensors");
  cluster_->Write("in/damaged/model.safetensors",
                  std::string(7, '\xff') + "\x7f" + weights.substr(8));
  ExpectImportRefused(folder, "model.safetensors");
  std::string overlap = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                        R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  std::string size(8, '\0');
  size[0] = static_cast<char>(overlap.size());
  cluster_->Write("in/damaged/model.safetensors", size + overlap + std::string(12, '\0'));
  ExpectImportRefused(folder, "model.safetensors");

  ExpectImportRefused(cluster_->Write("in/bad.gguf", "GGUF"), "bad.gguf");
  std::string hostile("GGUF\x03\0\0\0", 8);
  hostile += std::string(16, '\xff');  // counts of tensors and of metadata
  ExpectImportRefused(cluster_->Write("in/bad.gguf", hostile), "bad.gguf");
  ExpectImportRefused(cluster_->Write("in/bad.txt", "x"), "not a .gguf file");
  Finished absent = cluster_->Attune({"model", "import", "bad", "/absent"});
  EXPECT_EQ(absent.exit_code, kNotFound) << absent.err;
}

TEST_F(BadInputTest, UnusableDataset) {
  fs::path file = cluster_->Write("in/bad.jsonl", "{\"x\":1}\nnonsense\n");
  Finished import = cluster_->Attune({"dataset", "import", "bad", file.string()});
  EXPECT_EQ(import.exit_code, kUsage) << import.err;
  EXPECT_THAT(import.err, HasSubstr("bad.jsonl:1"));
  EXPECT_FALSE(fs::exists(cluster_->storage() / "datasets/bad"));
  EXPECT_EQ(cluster_->Attune({"dataset", "import", "bad", "/absent.jsonl"}).exit_code, kNotFound);
  EXPECT_EQ(cluster_->Attune({"dataset", "import", "../bad", file.string()}).exit_code, kUsage);
}

TEST_F(BadInputTest, TokenizerLargerThanTheVocabulary) {
  fs::path folder = cluster_->home() / "in/mismatched";
  ASSERT_TRUE(testing::WriteTinyLlama(folder).ok());
  cluster_->Write("in/mismatched/tokenizer.json", testing::TinyTokenizerJson(100));
  ASSERT_EQ(cluster_->Attune({"model", "import", "mismatched", folder.string()}).exit_code, 0);
  std::string rows;
  for (int i = 0; i < 100; ++i) {
    rows += "{\"text\":\"extra" + std::to_string(i) + " and more\"}\n";
  }
  ASSERT_EQ(cluster_
                ->Attune({"dataset", "import", "extras",
                          cluster_->Write("in/extras.jsonl", rows).string()})
                .exit_code,
            0);
  ExpectJobFails(
      "base: mismatched\ndataset: extras\nmethod: full\nranks: 1\n"
      "train: {max_steps: 3, sequence_length: 256}\n",
      "vocabulary");
}

TEST_F(BadInputTest, NoTargetToken) {
  std::string rows;
  for (int i = 0; i < 50; ++i) {
    rows +=
        "{\"prompt\":\"" + std::string(200, 'a') + std::to_string(i) + "\",\"completion\":\"b\"}\n";
  }
  ASSERT_EQ(
      cluster_->Attune({"dataset", "import", "cut", cluster_->Write("in/cut.jsonl", rows).string()})
          .exit_code,
      0);
  ExpectJobFails(
      "base: tiny\ndataset: cut\nmethod: full\nranks: 1\ntrain: {sequence_length: 64, max_steps: "
      "3}\n",
      "target");
}

TEST_F(BadInputTest, ARowThatTheTemplateCannotTakeIsLeftOutAndTold) {
  std::string rows =
      R"({"messages":[{"role":"user","content":"Call f."},{"role":"assistant","content":null,)"
      R"("tool_calls":[{"function":{"name":"f"}}]}]})"
      "\n";
  for (int i = 0; i < 60; ++i) {
    rows += R"({"messages":[{"role":"user","content":"q)" + std::to_string(i) +
            R"("},{"role":"assistant","content":"a"}]})" + "\n";
  }
  ASSERT_EQ(
      cluster_
          ->Attune({"dataset", "import", "calls", cluster_->Write("in/calls.jsonl", rows).string()})
          .exit_code,
      0);
  const std::string spec =
      "base: tiny\ndataset: calls\nmethod: full\nranks: 1\n"
      "train: {epochs: 1, max_steps: 3, sequence_length: 512}\noptimizer: {warmup_steps: 3}\n";
  const std::string left_out = "1 is left out because it cannot be used";
  const std::string named = "(\"Call f.\"): cannot apply the chat template";
  const std::string warmup = "optimizer.warmup_steps is 3, but the run has 1 step";

  Finished plan = cluster_->Attune(
      {"job", "submit", cluster_->Write("calls.yaml", spec).string(), "--dry-run", "-o", "json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr(left_out));
  EXPECT_THAT(plan.out, HasSubstr(warmup));

  const std::string job = cluster_->Submit(spec);
  const Json ended = cluster_->WaitForEnd(job);
  EXPECT_EQ(ended["state"], "SUCCEEDED") << ended["reason"];
  ASSERT_EQ(ended["warnings"].size(), 2u) << ended["warnings"];
  EXPECT_THAT(ended["warnings"][0].get<std::string>(), HasSubstr(left_out));
  EXPECT_THAT(ended["warnings"][0].get<std::string>(), HasSubstr(named));
  EXPECT_THAT(ended["warnings"][1].get<std::string>(), HasSubstr(warmup));
  // Its worker sends what was said last a moment after the end.
  EXPECT_TRUE(Eventually([&] {
    return cluster_->Attune({"job", "logs", job}).out.find(named) != std::string::npos;
  }));
}

TEST_F(BadInputTest, MoreRanksThanSlots) {
  Finished submit = SubmitFile(Spec("wide", 3, 3));
  EXPECT_EQ(submit.exit_code, kConflict) << submit.err;
  EXPECT_THAT(submit.err, HasSubstr("needs 3 slots, but the cluster has 2"));
  EXPECT_EQ(cluster_->Attune({"job", "show", "wide"}).exit_code, kNotFound);
}

TEST_F(BadInputTest, UnknownJobAndCommand) {
  EXPECT_EQ(cluster_->Attune({"job", "show", "job-000000000000"}).exit_code, kNotFound);
  EXPECT_EQ(cluster_->Attune({"job", "shwo"}).exit_code, kUsage);
}

}  // namespace
}  // namespace attune::cluster
