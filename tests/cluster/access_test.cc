// Who gets in: mutual TLS and tokens between all programs, with the samples of configs/clusters and
// everything that these have commented out.

#include <gmock/gmock.h>

#include <regex>

#include "common/base/files.h"
#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kDenied = 4, kUnavailable = 6;
constexpr char kUserToken[] = "user-token-0123456789";
constexpr char kWorkerToken[] = "worker-token-0123456789";
constexpr char kAliceToken[] = "alice-token-0123456789";  // of a promoter

// An authority "ca" and one that nobody knows, "other"; of the first, a certificate for each
// program, of the second one for a stranger.
constexpr char kMakeCertificates[] = R"(
authority() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -keyout $1.key -out $1.pem
}
certificate() {
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$2" -keyout $2.key -out $2.csr
  echo subjectAltName=IP:127.0.0.1 > $2.ext
  openssl x509 -req -in $2.csr -CA $1.pem -CAkey $1.key -CAcreateserial -days 2 -extfile $2.ext \
    -out $2.pem
}
authority ca; authority other
for name in coordinator worker user; do certificate ca $name; done
certificate other stranger
)";

std::string Replace(const std::string& text, const std::string& what, const std::string& with) {
  EXPECT_TRUE(std::regex_search(text, std::regex(what))) << what;
  return std::regex_replace(text, std::regex(what), with);
}

// A sample with its commented keys in force.
std::string Uncommented(const std::string& file) {
  return std::regex_replace(*ReadFile("configs/clusters/" + file),
                            std::regex("(^|\n)( *)# ([a-z_]+: )"), "$1$2$3");
}

class AccessTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = new Cluster;
    fs::create_directories(cluster_->home() / "etc");
    fs::create_directories(cluster_->storage());
    Finished made = cluster_->Shell("etc", kMakeCertificates);
    ASSERT_EQ(made.exit_code, 0) << made.err;
    WriteToken("token", kUserToken);
    WriteToken("worker-token", kWorkerToken);
    WriteToken("alice-token", kAliceToken);
    WriteToken("wrong-token", "wrong-token-0123456789");
    StartCoordinator();
    ASSERT_NO_FATAL_FAILURE(WaitForAddress());
    Start({Program("attune-worker"), "--config", WriteWorkerConfig("worker-token")}, {},
          cluster_->home() / "worker.log");
    cluster_->Use({{"ATTUNE_ADDRESS", address_},
                   {"ATTUNE_CA", Etc("ca.pem")},
                   {"ATTUNE_CERT", Etc("user.pem")},
                   {"ATTUNE_KEY", Etc("user.key")},
                   {"ATTUNE_TOKEN_FILE", Etc("token")}});
    ASSERT_TRUE(Eventually([] {
      return cluster_->Attune({"node", "list"}).out.find("READY") != std::string::npos;
    }));
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }

  static std::string Etc(const std::string& file) { return cluster_->home() / "etc" / file; }
  static std::string Program(const std::string& name) {
    return std::string(ATTUNE_BIN_DIR) + "/" + name;
  }
  static void WriteToken(const std::string& file, const std::string& token) {
    cluster_->Write("etc/" + file, token + "\n");
    fs::permissions(Etc(file), fs::perms::owner_read | fs::perms::owner_write);
  }

  static void StartCoordinator() {
    std::string config =
        Replace(Uncommented("coordinator.yaml"), "127.0.0.1:[0-9]+", "127.0.0.1:0");
    config = Replace(config, "storage: storage", "storage: ../storage");
    std::string file = cluster_->Write("etc/coordinator.yaml", config);
    Start({Program("attune-coordinator"), "--config", file, "--init"}, {},
          cluster_->home() / "coordinator.log");
  }

  static void WaitForAddress() {
    ASSERT_TRUE(Eventually([] {
      Json found = Json::parse(cluster_->Read("storage/state/coordinator.json"), nullptr, false);
      if (found.is_object()) address_ = found.value("address", "");
      return !address_.empty();
    }));
  }

  // Returns the file's path.
  static std::string WriteWorkerConfig(const std::string& token_file) {
    std::string config = Replace(Uncommented("worker.yaml"), "127.0.0.1:7070", address_);
    config = Replace(config, "127.0.0.1:9465", "127.0.0.1:0");
    config = Replace(config, "/etc/attune/token", token_file);
    config = Replace(config, "/etc/attune/", "");
    config = Replace(config, "/srv/attune", cluster_->storage());
    config = Replace(config, "/var/lib/attune/worker-1", "../work-" + token_file);
    config = Replace(config, "/usr/bin/attune-trainer", Program("attune-trainer"));
    return cluster_->Write("etc/worker-with-" + token_file + ".yaml", config);
  }

  // `attune job list` with other options than those that are right.
  static Finished List(std::vector<std::string> options) {
    options.insert(options.begin(), {"job", "list"});
    return cluster_->Attune(options);
  }

  void ExpectRefused(const Finished& finished, int code, const std::string& reason) {
    EXPECT_EQ(finished.exit_code, code) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr(reason));
    EXPECT_EQ(finished.out, "");
  }

  static Cluster* cluster_;
  static std::string address_;
};

Cluster* AccessTest::cluster_ = nullptr;
std::string AccessTest::address_;

TEST_F(AccessTest, AJobRunsAndItsTokenIsGoodForNothingElse) {
  ASSERT_NO_FATAL_FAILURE(cluster_->ImportTiny());
  std::string job = cluster_->Submit(Spec("sealed", 1, 100000));
  cluster_->WaitForStep(job, 1);
  std::vector<pid_t> trainers = cluster_->Trainers();
  ASSERT_EQ(trainers.size(), 1u);
  std::string run_token = EnvironmentOf(trainers[0], "ATTUNE_RUN_TOKEN");
  ASSERT_GE(run_token.size(), 16u);
  WriteToken("run-token", run_token);
  ExpectRefused(List({"--token-file", Etc("run-token")}), kDenied, "token");
  EXPECT_EQ(cluster_->Attune({"job", "cancel", job}).exit_code, 0);
  EXPECT_EQ(cluster_->WaitForEnd(job)["state"], "CANCELLED");
  for (const char* log : {"coordinator.log", "worker.log"}) {
    for (const std::string& token : {std::string(kUserToken), std::string(kWorkerToken), run_token})
      EXPECT_THAT(cluster_->Read(log), Not(HasSubstr(token))) << log;
  }
}

TEST_F(AccessTest, TheConnectionNeedsCertificatesOfTheAuthority) {
  EXPECT_EQ(List({}).exit_code, 0);
  ExpectRefused(List({"--ca", Etc("other.pem")}), kUnavailable, "no TLS connection");
  ExpectRefused(List({"--ca", Etc("absent.pem")}), 3, "absent.pem");
  ExpectRefused(List({"--cert", Etc("stranger.pem"), "--key", Etc("stranger.key")}), kUnavailable,
                "certificate");
  cluster_->Use({{"ATTUNE_CERT", ""}, {"ATTUNE_KEY", ""}});
  ExpectRefused(List({}), kUnavailable, "--cert");
  cluster_->Use({{"ATTUNE_CA", ""}});
  ExpectRefused(List({}), kUnavailable, "--ca");
  cluster_->Use({{"ATTUNE_CA", Etc("ca.pem")},
                 {"ATTUNE_CERT", Etc("user.pem")},
                 {"ATTUNE_KEY", Etc("user.key")}});
}

TEST_F(AccessTest, AUserNeedsAUsersToken) {
  ExpectRefused(List({"--token-file", Etc("wrong-token")}), kDenied, "--token-file");
  ExpectRefused(List({"--token-file", Etc("worker-token")}), kDenied, "--token-file");
  cluster_->Use({{"ATTUNE_TOKEN_FILE", ""}});
  ExpectRefused(List({}), kDenied, "--token-file");
  cluster_->Use({{"ATTUNE_TOKEN_FILE", Etc("token")}});
}

// The sample names a promoter, so the token that all share does not move aliases.
TEST_F(AccessTest, AnAliasIsMovedByAPromoter) {
  ASSERT_NO_FATAL_FAILURE(cluster_->ImportTiny());
  ExpectRefused(cluster_->Attune({"model", "promote", "tiny@1"}), kDenied, "which alice has");
  ExpectRefused(cluster_->Attune({"model", "prune", "tiny", "--keep", "1"}), kDenied, "promoter");
  Json alias =
      cluster_->AttuneJson({"model", "promote", "tiny@1", "--token-file", Etc("alice-token")});
  EXPECT_EQ(alias["last"]["actor"], "user:alice");
  ExpectRefused(cluster_->Attune({"model", "rollback", "tiny"}), kDenied, "promoter");
  ExpectRefused(cluster_->Attune({"model", "unalias", "tiny", "champion"}), kDenied, "promoter");
  EXPECT_EQ(cluster_->AttuneJson({"model", "show", "tiny@champion"})["version"], 1);
  EXPECT_EQ(cluster_->AttuneJson({"model", "history", "tiny"}).size(), 1u);
  EXPECT_THAT(cluster_->Read("coordinator.log"), HasSubstr("does not have the role"));
  EXPECT_THAT(cluster_->Read("coordinator.log"), Not(HasSubstr(kAliceToken)));
}

TEST_F(AccessTest, AWorkerNeedsAWorkersToken) {
  for (const char* token : {"token", "wrong-token"}) {
    Finished worker = cluster::Run({Program("attune-worker"), "--config", WriteWorkerConfig(token)},
                                   {{"HOME", cluster_->home()}}, kPatience);
    EXPECT_EQ(worker.exit_code, kDenied) << worker.err;
    EXPECT_THAT(worker.err, HasSubstr("refused this worker"));
    EXPECT_THAT(worker.err, HasSubstr("token_file"));
  }
  EXPECT_EQ(cluster_->AttuneJson({"node", "list"}).size(), 1u);
}

TEST_F(AccessTest, NoDaemonIsOpenToOtherMachinesByAccident) {
  const std::string tls = "tls: {cert: coordinator.pem, key: coordinator.key}\n";
  const std::string token = "token_file: token\n";
  for (const auto& [more, missing] : std::map<std::string, std::string>{
           {"", "tls and token_file are not set"},
           {tls, "token_file is not set"},
           {token, "tls is not set"},
           {tls + token + "metrics_listen: 0.0.0.0:0\n", "metrics_public"}}) {
    std::string file =
        cluster_->Write("etc/open.yaml", "storage: ../open\nlisten: 0.0.0.0:0\n" + more);
    Finished started =
        cluster::Run({Program("attune-coordinator"), "--config", file}, {}, kPatience);
    EXPECT_EQ(started.exit_code, 1) << more;
    EXPECT_THAT(started.err, HasSubstr("0.0.0.0:0"));
    EXPECT_THAT(started.err, HasSubstr(missing));
    EXPECT_EQ(started.out, "");
  }
  // Nor does a worker speak to another machine in clear text.
  Finished worker = cluster::Run({Program("attune-worker"), "--coordinator", "192.0.2.1:7070"},
                                 {{"HOME", cluster_->home()}}, kPatience);
  EXPECT_EQ(worker.exit_code, 2);
  EXPECT_THAT(worker.err, HasSubstr("needs TLS"));
}

}  // namespace
}  // namespace attune::cluster
