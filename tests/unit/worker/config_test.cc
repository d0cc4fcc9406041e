#include "worker/agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"
#include "worker/agent/environment.h"

namespace attune::worker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

Result<WorkerConfig> Read(const std::string& text) {
  WorkerConfig config;
  auto document = yaml::Parse(text, "worker.yaml");
  if (!document.ok()) return document.status();
  ATTUNE_RETURN_IF_ERROR(ReadWorkerConfig(*document, "/etc/attune", &config));
  return config;
}

class CompleteTest : public ::testing::Test {
 protected:
  CompleteTest() {
    config_.trainer = folder_.WriteScript("attune-trainer", "");
    config_.work_dir = folder_.path() / "work";
    config_.node = "node-1";
  }
  attune::TemporaryFolder folder_;
  WorkerConfig config_;
};

TEST(ReadWorkerConfig, ReadsTheSampleFile) {
  auto document = yaml::ParseFile("configs/clusters/worker.yaml");
  ASSERT_TRUE(document.ok()) << document.status().ToString();
  WorkerConfig config;
  ASSERT_TRUE(ReadWorkerConfig(*document, "/etc/attune", &config).ok());
  EXPECT_EQ(config.coordinator.address, "127.0.0.1:7070");
  EXPECT_EQ(config.slots, 1u);
  EXPECT_EQ(config.metrics_listen, "127.0.0.1:9465");
}

TEST(ReadWorkerConfig, NamesTheUnknownKeyAndItsLine) {
  auto config = Read("node: a\nslot: 2\n");
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(config.status().message(), HasSubstr("worker.yaml:2:1"));
  EXPECT_THAT(config.status().message(), HasSubstr("slots"));
}

TEST(ReadWorkerConfig, RefusesWhatIsOutOfBounds) {
  EXPECT_FALSE(Read("slots: 0\n").ok());
  EXPECT_FALSE(Read("device: tpu\n").ok());
  EXPECT_FALSE(Read("log_level: loud\n").ok());
}

TEST(ReadWorkerConfig, RelativePathsAreOfTheFilesFolder) {
  auto config = Read("coordinator: {ca: ca.pem}\nstorage: /srv/attune\nwork_dir: work\n");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->coordinator.ca_file, "/etc/attune/ca.pem");
  EXPECT_EQ(config->storage, "/srv/attune");
  EXPECT_EQ(config->work_dir, "/etc/attune/work");
}

TEST(ReadWorkerConfig, JudgesAreCommandsByName) {
  auto config = Read("judges:\n  near: [judges/near.py, --strict]\n  length: [wc, -c]\n");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_THAT(config->judges.at("near"), ElementsAre("/etc/attune/judges/near.py", "--strict"));
  EXPECT_THAT(config->judges.at("length"), ElementsAre("wc", "-c"));
  config->slots = 1;
  EXPECT_THAT(TrainerEnvironment(*config, {}, "", {}, nullptr),
              Contains("ATTUNE_JUDGES={\"length\":[\"wc\",\"-c\"],"
                       "\"near\":[\"/etc/attune/judges/near.py\",\"--strict\"]}"));
  EXPECT_THAT(Read("judges:\n  near: []\n").status().message(), HasSubstr("judges.near"));
}

TEST_F(CompleteTest, MetricsStayOnThisMachineUnlessMeant) {
  config_.metrics_listen = "0.0.0.0:7072";
  EXPECT_THAT(CompleteWorkerConfig(&config_).message(), HasSubstr("metrics_public"));
  config_.metrics_public = true;
  EXPECT_TRUE(CompleteWorkerConfig(&config_).ok());
}

TEST_F(CompleteTest, FillsInTheMachine) {
  ASSERT_TRUE(CompleteWorkerConfig(&config_).ok());
  EXPECT_EQ(config_.slots, 1u);
  EXPECT_GE(config_.cores, 1u);
  EXPECT_TRUE(config_.trainer.is_absolute());
}

TEST_F(CompleteTest, AnotherHostNeedsTls) {
  config_.coordinator.address = "10.0.0.1:7070";
  Status status = CompleteWorkerConfig(&config_);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("coordinator.ca"));
}

TEST_F(CompleteTest, SaysWhatIsMissing) {
  config_.trainer = folder_.path() / "absent";
  EXPECT_THAT(CompleteWorkerConfig(&config_).message(), HasSubstr("trainer"));
  config_.trainer = "/bin/true";
  config_.storage = folder_.path() / "absent";
  EXPECT_THAT(CompleteWorkerConfig(&config_).message(), HasSubstr("storage"));
}

TEST_F(CompleteTest, ReadsTheTokenOfItsFile) {
  config_.token_file = folder_.Write("token", "abc123\n");
  ASSERT_TRUE(CompleteWorkerConfig(&config_).ok());
  EXPECT_EQ(*ReadWorkerToken(config_), "abc123");
  folder_.Write("token", "def456\n");
  EXPECT_EQ(*ReadWorkerToken(config_), "def456");
  config_.token_file = folder_.Write("two", "abc 123\n");
  EXPECT_FALSE(CompleteWorkerConfig(&config_).ok());
}

TEST_F(CompleteTest, RefusesANameThatIsNone) {
  config_.node = "Bad Name";
  EXPECT_THAT(CompleteWorkerConfig(&config_).message(), HasSubstr("node 'Bad Name'"));
}

TEST(TrainerEnvironment, GivesTheRunTokenAndNotTheWorkers) {
  WorkerConfig config;
  config.slots = 2;
  config.cores = 8;
  config.coordinator.token = "worker-secret";
  const char* inherited[] = {"PATH=/bin", "ATTUNE_TOKEN=user-secret", "=odd",
                             "ATTUNE_MEMORY_LIMIT=5000", nullptr};
  auto environment = TrainerEnvironment(config, {"job-g1-r0", "job", 1, 0, 1}, "run-secret",
                                        {{"EXTRA", "1"}, {"PATH", "/opt"}}, inherited);
  EXPECT_THAT(
      environment,
      IsSupersetOf({"ATTUNE_TRAINER_ID=job-g1-r0", "ATTUNE_RUN_TOKEN=run-secret", "ATTUNE_SLOT=1",
                    "ATTUNE_DEVICE=cpu", "ATTUNE_THREADS=4", "ATTUNE_MEMORY_LIMIT=5000",
                    "OMP_NUM_THREADS=4", "GOMP_SPINCOUNT=1000", "EXTRA=1", "PATH=/opt"}));
  EXPECT_THAT(environment, Not(Contains(HasSubstr("worker-secret"))));
  EXPECT_THAT(environment, Not(Contains(HasSubstr("user-secret"))));
}

TEST(TrainerEnvironment, TheHostsWayOfWaitingWins) {
  WorkerConfig config;
  config.slots = 1;
  const char* spin[] = {"GOMP_SPINCOUNT=7", nullptr};
  EXPECT_THAT(TrainerEnvironment(config, {}, "", {}, spin), Contains("GOMP_SPINCOUNT=7"));
  const char* policy[] = {"OMP_WAIT_POLICY=active", nullptr};
  EXPECT_THAT(TrainerEnvironment(config, {}, "", {}, policy), Not(Contains(HasSubstr("SPIN"))));
}

}  // namespace
}  // namespace attune::worker
