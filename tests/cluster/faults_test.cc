// kill -9 in the middle of a run: nothing acknowledged is lost and the losses are those of an
// undisturbed run.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Long enough for a test to strike in the middle.
constexpr int kSteps = 1200;
constexpr int kStrikeAt = 60;
// For jobs that are not waited for.
constexpr int kForever = 1000000;

std::string LongSpec(const std::string& name, int ranks, int steps = kSteps) {
  return Spec(name, ranks, steps,
              "optimizer: {learning_rate: 1e-3}\nevaluate: {every_steps: 300, max_examples: 4}\n"
              "checkpoint: {every_steps: 50, keep: 2}\n");
}

class FaultsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(2));
    ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  }

  // A job in the middle of its steps.
  std::string Started(const std::string& name, int steps = kSteps) {
    std::string job = cluster_.Submit(LongSpec(name, 2, steps));
    Json shown = cluster_.WaitForStep(job, kStrikeAt);
    EXPECT_LT(shown.value("step", steps), steps / 2) << "the job is too short for this machine";
    return job;
  }

  // Every step has the loss that a job without a fault has.
  void ExpectUndisturbed(const std::string& job) {
    Json ended = cluster_.WaitForEnd(job);
    ASSERT_EQ(ended["state"], "SUCCEEDED") << ended.dump(1);
    EXPECT_EQ(ended["step"], kSteps);
    EXPECT_NE(ended["model"], "");
    ExpectProved(job);
    const auto checkpoints = cluster_.storage() / "runs" / job / "checkpoints";
    EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(checkpoints); }));
    std::string reference = cluster_.Submit(LongSpec("reference", 2));
    ASSERT_EQ(cluster_.WaitForEnd(reference)["state"], "SUCCEEDED");
    std::map<int, double> expected = cluster_.Losses(reference), losses = cluster_.Losses(job);
    EXPECT_EQ(losses.size(), static_cast<size_t>(kSteps));
    for (const auto& [step, loss] : expected)
      EXPECT_NEAR(losses[step], loss, 1e-6) << "step " << step;
    std::map<int, double> validation = cluster_.ValidationLosses(job);
    for (const auto& [step, loss] : cluster_.ValidationLosses(reference)) {
      EXPECT_NEAR(validation[step], loss, 1e-6) << "validation at step " << step;
    }
  }

  // The model has every example as often as planned, by the records of its steps.
  void ExpectProved(const std::string& job, int steps = kSteps) {
    const Json ledger = cluster_.AttuneJson({"job", "ledger", job});
    EXPECT_EQ(ledger["used"], ledger["examples"]) << ledger.dump(1);
    EXPECT_EQ(ledger["missing"], 0);
    EXPECT_EQ(ledger["repeated"], 0);
    EXPECT_EQ(ledger["to_come"], 0);
    EXPECT_EQ(ledger["applied_steps"], steps);
    EXPECT_THAT(ledger["problems"], IsEmpty());
  }

  Cluster cluster_;
};

TEST_F(FaultsTest, KilledTrainer) {
  std::string job = Started("trainer");
  std::vector<pid_t> trainers = cluster_.Trainers("worker-2");
  ASSERT_EQ(trainers.size(), 1u);
  cluster_.Kill(trainers[0]);
  Json restarted =
      cluster_.WaitFor(job, [](const Json& shown) { return shown.value("restarts", 0) == 1; });
  ASSERT_EQ(restarted["incidents"].size(), 1u) << restarted.dump(1);
  EXPECT_THAT(restarted["incidents"][0]["cause"].get<std::string>(), HasSubstr("SIGKILL"));
  EXPECT_EQ(restarted["incidents"][0]["node"], "worker-2");
  ExpectUndisturbed(job);
}

// At the end rank 0 reads the tokenizer again, to write it with the model: a pipe that nobody
// writes to holds it there, alive and connected, like a disk that does not answer.
TEST_F(FaultsTest, HungTrainer) {
  std::string job = Started("hung");
  const std::filesystem::path tokenizer = cluster_.storage() / "models/tiny/1/tokenizer.json";
  const std::filesystem::path aside = cluster_.home() / "tokenizer.json";
  std::filesystem::rename(tokenizer, aside);
  ASSERT_EQ(mkfifo(tokenizer.c_str(), 0600), 0);
  ASSERT_NO_FATAL_FAILURE(cluster_.RestartCoordinator("progress_timeout: 20s\n"));
  Json restarted =
      cluster_.WaitFor(job, [](const Json& shown) { return shown.value("restarts", 0) == 1; });
  std::filesystem::rename(aside, tokenizer);
  ASSERT_EQ(restarted["incidents"].size(), 1u) << restarted.dump(1);
  const Json incident = restarted["incidents"][0];
  EXPECT_THAT(
      incident["cause"].get<std::string>(),
      HasSubstr("hangs: no rank made progress for 20 seconds; its own last was \"saving\""));
  EXPECT_EQ(incident["step"], kSteps);
  ExpectUndisturbed(job);
}

TEST_F(FaultsTest, KilledWorker) {
  std::string job = Started("worker");
  std::vector<pid_t> trainers = cluster_.Trainers("worker-1");
  ASSERT_EQ(trainers.size(), 1u);
  cluster_.Kill(cluster_.Pid("worker-1"));
  // A trainer does not outlive its worker.
  EXPECT_TRUE(Eventually([&] { return !IsAlive(trainers[0]); }));
  cluster_.WaitFor(job, [](const Json& shown) { return shown.value("restarts", 0) == 1; });
  ASSERT_NO_FATAL_FAILURE(cluster_.UpAgain());
  ExpectUndisturbed(job);
}

TEST_F(FaultsTest, KilledCoordinatorAndTrainersGoOn) {
  std::string job = Started("coordinator");
  std::vector<pid_t> before = cluster_.Trainers();
  int step = cluster_.Show(job)["step"];
  cluster_.Kill(cluster_.Pid("coordinator"));
  ASSERT_NO_FATAL_FAILURE(cluster_.UpAgain());
  Json shown = cluster_.Show(job);
  EXPECT_GE(shown["step"], step) << "an acknowledged step was lost";
  if (!IsFinal(shown)) EXPECT_EQ(cluster_.Trainers(), before);
  Json ended = cluster_.WaitForEnd(job);
  EXPECT_EQ(ended.value("restarts", -1), 0) << ended.dump(1);
  EXPECT_EQ(ended.value("generation", -1), 1) << ended.dump(1);
  ExpectUndisturbed(job);
}

TEST_F(FaultsTest, EverythingKilledAtOnce) {
  std::string job = Started("all");
  for (const char* daemon : {"coordinator", "worker-1", "worker-2"})
    cluster_.Kill(cluster_.Pid(daemon));
  EXPECT_TRUE(Eventually([&] { return cluster_.Trainers().empty(); }));
  ASSERT_NO_FATAL_FAILURE(cluster_.UpAgain());
  ExpectUndisturbed(job);
}

TEST_F(FaultsTest, RestartKeepsQueuedJobsInOrder) {
  std::string running = Started("running", kForever);
  std::string first = cluster_.Submit(Spec("first", 2, 5));
  std::string second = cluster_.Submit(Spec("second", 2, 5));
  EXPECT_EQ(cluster_.Show(second)["state"], "QUEUED");
  cluster_.Kill(cluster_.Pid("coordinator"));
  ASSERT_NO_FATAL_FAILURE(cluster_.UpAgain());
  EXPECT_EQ(cluster_.Show(first)["state"], "QUEUED");
  EXPECT_EQ(cluster_.Show(second)["state"], "QUEUED");
  EXPECT_THAT(cluster_.Attune({"job", "why", first}).out, HasSubstr("slot"));
  EXPECT_THAT(cluster_.Attune({"job", "why", second}).out, HasSubstr(first));
  ASSERT_EQ(cluster_.Attune({"job", "cancel", running}).exit_code, 0);
  EXPECT_EQ(cluster_.WaitForEnd(first)["state"], "SUCCEEDED");
  EXPECT_EQ(cluster_.WaitForEnd(second)["state"], "SUCCEEDED");
}

// As on a host that was started before its mount.
TEST_F(FaultsTest, AHostThatDoesNotSeeTheStorageGetsNoWork) {
  const auto id = cluster_.storage() / "cluster-id", away = cluster_.storage() / "unmounted";
  const auto nodes_are = [&](const std::string& state) {
    return Eventually([&] {
      Json nodes = cluster_.AttuneJson({"node", "list"});
      return std::all_of(nodes.begin(), nodes.end(),
                         [&](const Json& node) { return node["state"] == state; });
    });
  };
  std::filesystem::rename(id, away);
  ASSERT_TRUE(nodes_are("NOT_READY"));
  std::string job = cluster_.Submit(Spec("waits", 2, 5));
  EXPECT_THAT(cluster_.Attune({"job", "why", job}).out, HasSubstr("storage is not seen here"));
  std::filesystem::rename(away, id);
  Json ended = cluster_.WaitForEnd(job);
  EXPECT_EQ(ended["state"], "SUCCEEDED") << ended.dump(1);
  EXPECT_EQ(ended["generation"], 1);
}

TEST_F(FaultsTest, RetriesHaveABudget) {
  std::string job =
      cluster_.Submit(LongSpec("fragile", 2, kForever) + "retry: {max_restarts: 0}\n");
  cluster_.WaitForStep(job, kStrikeAt);
  std::vector<pid_t> trainers = cluster_.Trainers("worker-1");
  ASSERT_EQ(trainers.size(), 1u);
  cluster_.Kill(trainers[0]);
  Json ended = cluster_.WaitForEnd(job);
  EXPECT_EQ(ended["state"], "FAILED");
  EXPECT_THAT(ended["reason"].get<std::string>(), HasSubstr("SIGKILL"));
  EXPECT_THAT(ended["incidents"][0]["log_tail"], Not(IsEmpty()));
}

// A killed trainer, a killed coordinator, a pause and the rest on one rank: the model has every
// example as often as planned.
TEST_F(FaultsTest, TheLedgerProvesWhatTheModelHas) {
  constexpr int kLonger = 3 * kSteps;  // it trains on while the coordinator is away
  std::string spec = LongSpec("proved", 2, kLonger);
  spec.replace(spec.find("ranks: 2"), 8, "ranks: {min: 1, max: 2}");
  std::string job = cluster_.Submit(spec);
  cluster_.WaitForStep(job, kStrikeAt);
  cluster_.Kill(cluster_.Trainers("worker-2").at(0));
  cluster_.WaitFor(job, [](const Json& shown) { return shown.value("restarts", 0) == 1; });
  cluster_.WaitForStep(job, 3 * kStrikeAt);
  cluster_.Kill(cluster_.Pid("coordinator"));
  ASSERT_NO_FATAL_FAILURE(cluster_.UpAgain());
  ASSERT_EQ(cluster_.Attune({"job", "pause", job}).exit_code, 0);
  cluster_.WaitFor(job, [](const Json& shown) { return shown["state"] == "PAUSED"; });

  const Json half = cluster_.AttuneJson({"job", "ledger", job});
  EXPECT_GT(half["to_come"], 0);
  EXPECT_EQ(half["missing"], 0);
  EXPECT_EQ(half["used"].get<int>() + half["to_come"].get<int>(), half["examples"].get<int>());

  cluster_.Kill(cluster_.Pid("worker-2"));
  ASSERT_TRUE(Eventually([&] {
    for (const Json& node : cluster_.AttuneJson({"node", "list"})) {
      if (node["name"] == "worker-2" && node["state"] == "READY") return false;
    }
    return true;
  }));
  ASSERT_EQ(cluster_.Attune({"job", "resume", job}).exit_code, 0);
  const Json ended = cluster_.WaitForEnd(job);
  ASSERT_EQ(ended["state"], "SUCCEEDED") << ended.dump(1);
  EXPECT_EQ(ended["ranks"], 1);

  ASSERT_NO_FATAL_FAILURE(ExpectProved(job, kLonger));
  const Json ledger = cluster_.AttuneJson({"job", "ledger", job});
  // All but the last, cut epoch have every example.
  for (const Json& epoch : ledger["epochs"]) {
    if (epoch["epoch"] == ledger["epochs"].size()) continue;
    ASSERT_EQ(epoch["used"], ledger["examples_an_epoch"]);
  }
  std::set<int> ranks;
  int again = 0;
  for (const Json& steps : ledger["applied"]) {
    ranks.insert(steps["ranks"].get<int>());
    if (steps["kept"] == false) {
      ++again;
      EXPECT_THAT(steps["why"].get<std::string>(), HasSubstr("SIGKILL"));
    }
  }
  EXPECT_EQ(ranks, (std::set<int>{1, 2}));
  EXPECT_LE(again, 1);  // none when it was killed right after a checkpoint
  Finished listed = cluster_.Attune({"job", "ledger", job, "--list", "missing", "-o", "jsonl"});
  EXPECT_EQ(listed.exit_code, 0) << listed.err;
  EXPECT_EQ(listed.out, "");
}

// Such as a test that is killed before it can end what it has started.
TEST(Lifeline, DaemonsEndWithTheProcessThatTheyAreTiedTo) {
  Cluster cluster;
  pid_t other = fork();
  if (other == 0) {
    pause();
    _exit(0);
  }
  ASSERT_GT(other, 0);
  cluster.Use({{"ATTUNE_EXIT_WITH", std::to_string(other)}});
  ASSERT_NO_FATAL_FAILURE(cluster.Up(1));
  EXPECT_NE(cluster.Pid("coordinator"), 0);
  EXPECT_NE(cluster.Pid("worker-1"), 0);
  cluster.Kill(other);
  EXPECT_TRUE(
      Eventually([&] { return cluster.Pid("coordinator") == 0 && cluster.Pid("worker-1") == 0; }));
}

}  // namespace
}  // namespace attune::cluster
