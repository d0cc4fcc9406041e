#include "worker/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "tests/support/temporary_folder.h"
#include "tests/unit/worker/stream_peer.h"

namespace attune::worker {
namespace {

using attune::testing::AwaitTrue;
using attune::testing::StreamPeer;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using Messages = std::vector<v1::WorkerMessage>;

// Takes what a worker sends, acknowledging it unless told not to.
class FakeCoordinator : public v1::WorkerService::Service {
 public:
  FakeCoordinator() {
    peer.set_hook([this](const v1::WorkerMessage& message) { Answer(message); });
  }
  grpc::Status Connect(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::WorkerCommand, v1::WorkerMessage>* stream) override {
    return peer.Serve(context, stream);
  }
  void Start(const std::string& id, uint32_t slot = 0) {
    v1::WorkerCommand command;
    command.mutable_start()->set_trainer_id(id);
    command.mutable_start()->set_job_id("job-1");
    command.mutable_start()->set_generation(1);
    command.mutable_start()->set_slot(slot);
    command.mutable_start()->set_token("run-secret");
    EXPECT_TRUE(peer.Send(command));
  }
  void Stop(const std::string& id, uint32_t grace_seconds) {
    v1::WorkerCommand command;
    command.mutable_stop()->set_trainer_id(id);
    command.mutable_stop()->set_grace_seconds(grace_seconds);
    EXPECT_TRUE(peer.Send(command));
  }

  StreamPeer<v1::WorkerMessage, v1::WorkerCommand> peer;
  std::atomic<bool> acknowledge_exits{true}, acknowledge_logs{true};
  std::atomic<int> registrations{0};                         // answered
  std::string unknown_trainer, cluster_id, cluster_id_file;  // told to each worker that registers

 private:
  void Answer(const v1::WorkerMessage& message) {
    v1::WorkerCommand command;
    if (message.has_register_()) {
      command.mutable_registered()->set_heartbeat_seconds(60);  // for older workers
      command.mutable_registered()->set_heartbeat_milliseconds(200);
      command.mutable_registered()->set_cluster_id(cluster_id);
      command.mutable_registered()->set_cluster_id_file(cluster_id_file);
      if (!unknown_trainer.empty()) {
        command.mutable_registered()->add_unknown_trainer_ids(unknown_trainer);
      }
      peer.Send(command);
      ++registrations;
      return;
    } else if (message.has_exited() && acknowledge_exits) {
      command.mutable_exit_acknowledged()->set_trainer_id(message.exited().trainer_id());
    } else if (message.has_log() && acknowledge_logs) {
      command.mutable_log_acknowledged()->set_trainer_id(message.log().trainer_id());
      command.mutable_log_acknowledged()->set_offset(message.log().offset() +
                                                     message.log().data().size());
    } else {
      return;
    }
    peer.Send(command);
  }
};

class AgentTest : public ::testing::Test {
 protected:
  // Each trainer of the worker runs the script.
  void StartAgent(const std::string& script, uint32_t slots = 1) {
    MakeAgent(script, slots);
    Status status = agent_->Start();
    ASSERT_TRUE(status.ok()) << status.ToString();
    ASSERT_TRUE(AwaitRegistered(1));
  }
  void MakeAgent(const std::string& script, uint32_t slots = 1) {
    config_.coordinator.address = server_.address();
    config_.node = "node-1";
    config_.slots = slots;
    config_.cores = 4;
    config_.work_dir = folder_.path() / "work";
    config_.trainer = folder_.WriteScript("trainer", script);
    options_.backoff_initial = milliseconds(10);
    options_.backoff_max = milliseconds(50);
    options_.exit_resend = milliseconds(50);
    options_.logs.poll = milliseconds(10);
    options_.refused_wait = milliseconds(20);
    options_.storage.interval = milliseconds(10);
    agent_ = std::make_unique<Agent>(config_, options_, &metrics_);
  }
  bool AwaitRegistered(int times) {
    return coordinator_.peer.Await([&](const Messages& messages) {
      return std::count_if(messages.begin(), messages.end(),
                           [](const auto& m) { return m.has_register_(); }) >= times;
    });
  }
  static std::vector<v1::TrainerExited> ExitsOf(const Messages& messages, const std::string& id) {
    std::vector<v1::TrainerExited> exits;
    for (const auto& message : messages) {
      if (message.has_exited() && message.exited().trainer_id() == id)
        exits.push_back(message.exited());
    }
    return exits;
  }
  std::optional<v1::TrainerExited> AwaitExit(const std::string& id, size_t times = 1) {
    coordinator_.peer.Await([&](const Messages& m) { return ExitsOf(m, id).size() >= times; });
    auto exits = ExitsOf(coordinator_.peer.received(), id);
    return exits.size() >= times ? std::optional(exits.back()) : std::nullopt;
  }
  // The log as the coordinator has it after all chunks.
  static std::string LogOf(const Messages& messages, const std::string& id) {
    std::string log;
    for (const auto& message : messages) {
      if (!message.has_log() || message.log().trainer_id() != id) continue;
      EXPECT_LE(message.log().offset(), log.size()) << "a gap";
      log.resize(message.log().offset());
      log += message.log().data();
    }
    return log;
  }
  bool AwaitLog(const std::string& id, const std::string& text) {
    return coordinator_.peer.Await(
        [&](const Messages& m) { return LogOf(m, id).find(text) != std::string::npos; });
  }
  bool AwaitHeartbeat(const std::function<bool(const v1::Heartbeat&)>& condition) {
    return coordinator_.peer.Await([&](const Messages& messages) {
      return std::any_of(messages.begin(), messages.end(), [&](const auto& m) {
        return m.has_heartbeat() && condition(m.heartbeat());
      });
    });
  }

  attune::TemporaryFolder folder_;
  FakeCoordinator coordinator_;
  attune::testing::TestServer server_{&coordinator_};
  WorkerMetrics metrics_{"node-1"};
  WorkerConfig config_;
  Agent::Options options_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(AgentTest, RegistersAndBeats) {
  StartAgent("sleep 60", 3);
  EXPECT_TRUE(coordinator_.peer.Await([](const Messages& messages) {
    return std::count_if(messages.begin(), messages.end(),
                         [](const auto& m) { return m.has_heartbeat(); }) >= 2;
  }));
  const auto hello = coordinator_.peer.received().front().register_();
  EXPECT_EQ(hello.node(), "node-1");
  EXPECT_EQ(hello.slots(), 3u);
  EXPECT_EQ(hello.device(), "cpu");
  EXPECT_EQ(hello.cores(), 4u);
  EXPECT_GT(hello.memory_bytes(), 0u);
  EXPECT_FALSE(hello.version().empty());
  EXPECT_EQ(hello.running_size(), 0);
}

TEST_F(AgentTest, ReportsAnExitUntilItIsAcknowledged) {
  coordinator_.acknowledge_exits = false;
  StartAgent("echo started $ATTUNE_TRAINER_ID with $ATTUNE_RUN_TOKEN; echo broken >&2; exit 3");
  coordinator_.Start("job-1-g1-r0");
  auto exit = AwaitExit("job-1-g1-r0", 3);
  ASSERT_TRUE(exit);
  EXPECT_FALSE(exit->signaled());
  EXPECT_EQ(exit->code(), 3);
  EXPECT_EQ(exit->start_error(), "");
  EXPECT_THAT(exit->log_tail(),
              ::testing::ElementsAre("started job-1-g1-r0 with run-secret", "broken"));
  EXPECT_TRUE(AwaitLog("job-1-g1-r0", "broken\n"));
  // Until then the trainer is still the coordinator's: it is in the heartbeats, without a process.
  EXPECT_TRUE(AwaitHeartbeat(
      [](const auto& beat) { return beat.running_size() == 1 && beat.running(0).pid() == 0; }));
  coordinator_.acknowledge_exits = true;
  coordinator_.peer.Forget();
  EXPECT_TRUE(AwaitHeartbeat([](const auto& beat) { return beat.running_size() == 0; }));
}

TEST_F(AgentTest, ReportsTheSignal) {
  StartAgent("kill -9 $$");
  coordinator_.Start("t");
  auto exit = AwaitExit("t");
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->signaled());
  EXPECT_EQ(exit->code(), SIGKILL);
}

TEST_F(AgentTest, StopsByTermination) {
  StartAgent("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
  coordinator_.Start("t");
  ASSERT_TRUE(AwaitLog("t", "ready"));
  coordinator_.Stop("t", 60);
  auto exit = AwaitExit("t");
  ASSERT_TRUE(exit);
  EXPECT_FALSE(exit->signaled());
  EXPECT_TRUE(AwaitLog("t", "bye"));
}

TEST_F(AgentTest, StopEscalatesToKill) {
  StartAgent("trap '' TERM; echo ready; while :; do sleep 0.01; done");
  coordinator_.Start("t");
  ASSERT_TRUE(AwaitLog("t", "ready"));
  coordinator_.Stop("t", 60);
  coordinator_.Stop("t", 0);  // a shorter grace wins
  auto exit = AwaitExit("t");
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->signaled());
  EXPECT_EQ(exit->code(), SIGKILL);
}

TEST_F(AgentTest, ComesBackWithWhatItRuns) {
  StartAgent("echo ready; sleep 60");
  coordinator_.Start("job-1-g1-r0");
  ASSERT_TRUE(AwaitLog("job-1-g1-r0", "ready"));
  coordinator_.peer.Forget();
  server_.Stop();
  server_.Start();
  ASSERT_TRUE(AwaitRegistered(1));
  const auto hello = coordinator_.peer.received().front().register_();
  ASSERT_EQ(hello.running_size(), 1);
  EXPECT_EQ(hello.running(0).trainer_id(), "job-1-g1-r0");
  EXPECT_EQ(hello.running(0).job_id(), "job-1");
  EXPECT_EQ(hello.running(0).generation(), 1u);
  EXPECT_GT(hello.running(0).pid(), 0);
}

TEST_F(AgentTest, SendsTheLogAgainAfterABreak) {
  coordinator_.acknowledge_logs = false;
  StartAgent("echo first; sleep 60");
  coordinator_.Start("t");
  ASSERT_TRUE(AwaitLog("t", "first\n"));
  coordinator_.peer.Forget();
  coordinator_.acknowledge_logs = true;
  coordinator_.peer.Break();
  ASSERT_TRUE(AwaitRegistered(1));
  EXPECT_TRUE(AwaitLog("t", "first\n"));
  EXPECT_EQ(LogOf(coordinator_.peer.received(), "t"), "first\n");
}

TEST_F(AgentTest, KillsATrainerThatTheCoordinatorDoesNotKnow) {
  StartAgent("echo ready; sleep 60");
  coordinator_.Start("t");
  ASSERT_TRUE(AwaitLog("t", "ready"));
  coordinator_.unknown_trainer = "t";
  coordinator_.peer.Forget();
  coordinator_.peer.Break();
  EXPECT_TRUE(AwaitHeartbeat([](const auto& beat) { return beat.running_size() == 0; }));
}

TEST_F(AgentTest, SaysWhyATrainerDidNotStart) {
  StartAgent("echo ready; sleep 60");
  coordinator_.Start("t");
  ASSERT_TRUE(AwaitLog("t", "ready"));
  coordinator_.Start("second");
  ASSERT_TRUE(AwaitExit("second"));
  EXPECT_THAT(AwaitExit("second")->start_error(), HasSubstr("slot 0 is still used by t"));
  coordinator_.Start("third", 7);
  ASSERT_TRUE(AwaitExit("third"));
  EXPECT_THAT(AwaitExit("third")->start_error(), HasSubstr("slot 7 does not exist"));
  coordinator_.Start("../escape");
  ASSERT_TRUE(AwaitExit("../escape"));
  EXPECT_THAT(AwaitExit("../escape")->start_error(), HasSubstr("not a file name"));
}

TEST_F(AgentTest, ARepeatedStartIsOneTrainer) {
  StartAgent("echo ready; sleep 60", 2);
  coordinator_.Start("t");
  coordinator_.Start("t");
  ASSERT_TRUE(AwaitLog("t", "ready"));
  coordinator_.Start("other", 1);
  ASSERT_TRUE(AwaitLog("other", "ready"));
  EXPECT_TRUE(ExitsOf(coordinator_.peer.received(), "t").empty());
}

TEST_F(AgentTest, ShutdownStopsTrainersAndHandsOverTheirExits) {
  StartAgent("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
  coordinator_.Start("t");
  ASSERT_TRUE(AwaitLog("t", "ready"));
  agent_->Shutdown(milliseconds(20000), milliseconds(20000));
  EXPECT_EQ(ExitsOf(coordinator_.peer.received(), "t").size(), 1u);
  EXPECT_THAT(LogOf(coordinator_.peer.received(), "t"), HasSubstr("bye\n"));
}

TEST_F(AgentTest, GivesUpWhenRefusedAtFirst) {
  coordinator_.peer.set_refusal(grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "unknown token"));
  MakeAgent("sleep 60");
  ASSERT_TRUE(agent_->Start().ok());
  EXPECT_TRUE(AwaitTrue([&] { return !agent_->welcome(); }));
  EXPECT_THAT(agent_->why(), HasSubstr("unknown token"));
}

// A token that is changed on one side only must not end what runs.
TEST_F(AgentTest, KeepsItsTrainersWhenItIsRefusedLater) {
  config_.token_file = folder_.Write("token", "old-token\n");
  StartAgent("echo ready; sleep 60");
  EXPECT_EQ(coordinator_.peer.token(), "Bearer old-token");
  coordinator_.Start("t");
  ASSERT_TRUE(AwaitLog("t", "ready"));
  coordinator_.peer.Forget();
  coordinator_.peer.set_refusal(grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "unknown token"));
  coordinator_.peer.Break();
  ASSERT_TRUE(coordinator_.peer.AwaitRefusals(2));
  EXPECT_TRUE(agent_->welcome());
  folder_.Write("token", "new-token\n");
  coordinator_.peer.set_refusal(grpc::Status::OK);
  ASSERT_TRUE(AwaitRegistered(1));
  EXPECT_EQ(coordinator_.peer.token(), "Bearer new-token");
  EXPECT_EQ(coordinator_.peer.received().front().register_().running_size(), 1);
}

TEST_F(AgentTest, AnotherClustersCoordinatorEndsNothing) {
  coordinator_.cluster_id = "cluster-a";
  StartAgent("echo ready; sleep 60");
  coordinator_.Start("t");
  ASSERT_TRUE(AwaitLog("t", "ready"));
  coordinator_.unknown_trainer = "t";
  coordinator_.cluster_id = "cluster-b";  // on an empty mount point
  coordinator_.peer.Break();
  ASSERT_TRUE(AwaitTrue([&] { return coordinator_.registrations == 2; }));
  coordinator_.unknown_trainer = "";
  coordinator_.cluster_id = "cluster-a";
  coordinator_.peer.Forget();
  coordinator_.peer.Break();
  EXPECT_TRUE(AwaitHeartbeat(
      [](const auto& beat) { return beat.running_size() == 1 && beat.running(0).pid() > 0; }));
}

TEST_F(AgentTest, SaysWhenItDoesNotSeeTheStorage) {
  coordinator_.cluster_id = "cluster-a";
  coordinator_.cluster_id_file = folder_.path() / "storage" / "cluster-id";
  StartAgent("sleep 60");
  EXPECT_TRUE(AwaitHeartbeat([](const auto& beat) {
    return beat.not_ready().find("storage is not seen here") != std::string::npos;
  }));
  std::filesystem::create_directory(folder_.path() / "storage");
  folder_.Write("storage/cluster-id", "cluster-b\n");
  EXPECT_TRUE(AwaitHeartbeat([](const auto& beat) {
    return beat.not_ready().find("is of another cluster") != std::string::npos;
  }));
  coordinator_.peer.Forget();
  folder_.Write("storage/cluster-id", "cluster-a\n");
  EXPECT_TRUE(AwaitHeartbeat([](const auto& beat) { return beat.not_ready().empty(); }));
}

// The coordinator takes a slot for free when it has told its trainer to end.
TEST_F(AgentTest, AStartWaitsForTheTrainerThatIsStopping) {
  StartAgent("trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done");
  coordinator_.Start("first");
  ASSERT_TRUE(AwaitLog("first", "ready"));
  coordinator_.Stop("first", 60);
  coordinator_.Start("second");
  EXPECT_TRUE(AwaitLog("second", "ready"));
  EXPECT_TRUE(AwaitExit("first"));
  EXPECT_TRUE(ExitsOf(coordinator_.peer.received(), "second").empty());
}

TEST_F(AgentTest, OneWorkerAFolder) {
  StartAgent("sleep 60");
  Agent second(config_, options_, &metrics_);
  Status status = second.Start();
  EXPECT_EQ(status.code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(status.message(), HasSubstr("another worker"));
}

}  // namespace
}  // namespace attune::worker
