// The coordinator as one process, over real gRPC on loopback.

#include "coordinator/server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "attune/v1/jobs.grpc.pb.h"
#include "attune/v1/models.grpc.pb.h"
#include "attune/v1/nodes.grpc.pb.h"
#include "attune/v1/trainer.grpc.pb.h"
#include "attune/v1/worker.grpc.pb.h"
#include "common/base/files.h"
#include "common/log/log.h"
#include "common/rpc/rpc.h"
#include "tests/support/temporary_folder.h"

namespace attune {
namespace {

using testing::HasSubstr;

class ServerTest : public testing::Test {
 protected:
  ServerTest() { spdlog::set_level(spdlog::level::warn); }

  CoordinatorConfig Config() {
    CoordinatorConfig config;
    config.listen = "127.0.0.1:0";
    config.metrics_listen = "";
    config.storage = folder_.path() / "storage";
    config.init = true;
    return config;
  }
  void Start(const CoordinatorConfig& config) {
    auto server = CoordinatorServer::Start(config);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(*server);
    endpoint_.address = server_->address();
    auto channel = rpc::Connect(endpoint_);
    ASSERT_TRUE(channel.ok());
    channel_ = *channel;
  }
  std::unique_ptr<grpc::ClientContext> Context(const std::string& token = "") {
    rpc::Endpoint endpoint = endpoint_;
    endpoint.token = token;
    return rpc::NewContext(endpoint, std::chrono::seconds(20));
  }
  Status ListJobs(const std::string& token) {
    v1::ListJobsResponse response;
    auto context = Context(token);
    return rpc::FromGrpc(v1::JobService::NewStub(channel_)->ListJobs(context.get(), {}, &response));
  }

  TemporaryFolder folder_;
  std::unique_ptr<CoordinatorServer> server_;
  rpc::Endpoint endpoint_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(ServerTest, AnnouncesItselfAndLeavesCleanly) {
  CoordinatorConfig config = Config();
  config.metrics_listen = "127.0.0.1:0";
  Start(config);
  const auto file = folder_.path() / "storage/state/coordinator.json";
  EXPECT_THAT(ReadFile(file).value(), HasSubstr(server_->address()));
  EXPECT_THAT(ReadFile(file).value(), HasSubstr(server_->metrics_address()));
  EXPECT_TRUE(ListJobs("").ok());
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(file));
  Start(Config());
  EXPECT_TRUE(ListJobs("").ok());
}

TEST_F(ServerTest, OneCoordinatorAStorage) {
  Start(Config());
  auto second = CoordinatorServer::Start(Config());
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().message(), HasSubstr("another coordinator runs on the storage"));
}

TEST_F(ServerTest, ATakenPortIsSaid) {
  CoordinatorConfig config = Config();
  config.metrics_listen = "127.0.0.1:0";
  Start(config);
  for (bool metrics : {false, true}) {
    config = Config();
    config.storage = folder_.path() / "other";
    (metrics ? config.metrics_listen : config.listen) =
        metrics ? server_->metrics_address() : server_->address();
    auto second = CoordinatorServer::Start(config);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
    EXPECT_THAT(second.status().message(),
                HasSubstr(metrics ? config.metrics_listen : config.listen));
  }
}

TEST_F(ServerTest, OtherAddressesAreRefusedWithoutTlsAndToken) {
  CoordinatorConfig config = Config();
  config.listen = "0.0.0.0:0";
  auto server = CoordinatorServer::Start(config);
  ASSERT_FALSE(server.ok());
  EXPECT_THAT(server.status().message(), HasSubstr("tls and token_file are not set"));
  config = Config();
  config.metrics_listen = "0.0.0.0:0";
  EXPECT_FALSE(CoordinatorServer::Start(config).ok());
}

TEST_F(ServerTest, TokensSeparateUsersFromWorkers) {
  auto write = [&](const char* name, const char* token) {
    const std::string path = folder_.path() / name;
    std::ofstream(path) << token << "\n";
    chmod(path.c_str(), 0600);
    return path;
  };
  CoordinatorConfig config = Config();
  config.token_file = write("user", "user-token-0123456789");
  config.worker_token_file = write("worker", "worker-token-0123456789");
  Start(config);
  EXPECT_EQ(ListJobs("").code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(ListJobs("").message(), HasSubstr("no token was sent: set ATTUNE_TOKEN"));
  EXPECT_EQ(ListJobs("worker-token-0123456789").code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(ListJobs("user-token-012345678").message(), HasSubstr("the token is not valid"));
  EXPECT_TRUE(ListJobs("user-token-0123456789").ok());
  v1::ListModelsResponse models;
  auto context = Context();
  EXPECT_EQ(
      v1::ModelService::NewStub(channel_)->ListModels(context.get(), {}, &models).error_code(),
      grpc::StatusCode::UNAUTHENTICATED);
  for (const char* token : {"", "user-token-0123456789"}) {
    auto connect = Context(token);
    auto stream = v1::WorkerService::NewStub(channel_)->Connect(connect.get());
    v1::WorkerCommand command;
    EXPECT_FALSE(stream->Read(&command));
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_THAT(status.error_message(),
                HasSubstr(*token == 0 ? "no token was sent" : "the token is not valid"));
  }
}

TEST_F(ServerTest, StrangersGetNoTrainerStream) {
  Start(Config());
  auto context = Context("made-up");
  auto stream = v1::TrainerService::NewStub(channel_)->Attach(context.get());
  v1::TrainerCommand command;
  EXPECT_FALSE(stream->Read(&command));
  const grpc::Status refused = stream->Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(refused.error_message(), HasSubstr("its run is over or unknown"));
  auto get = Context("made-up");
  v1::StoreValue value;
  EXPECT_EQ(v1::TrainerService::NewStub(channel_)->StoreGet(get.get(), {}, &value).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(ServerTest, AWorkerRegistersAndIsListed) {
  Start(Config());
  auto context = Context();
  auto stream = v1::WorkerService::NewStub(channel_)->Connect(context.get());
  v1::WorkerMessage message;
  message.mutable_register_()->set_node("node-a");
  message.mutable_register_()->set_slots(2);
  ASSERT_TRUE(stream->Write(message));
  v1::WorkerCommand command;
  ASSERT_TRUE(stream->Read(&command));
  EXPECT_EQ(command.registered().heartbeat_milliseconds(), 2000u);
  EXPECT_EQ(command.registered().heartbeat_seconds(), 2u);
  v1::ListNodesResponse nodes;
  auto list = Context();
  ASSERT_TRUE(v1::NodeService::NewStub(channel_)->ListNodes(list.get(), {}, &nodes).ok());
  ASSERT_EQ(nodes.nodes_size(), 1);
  EXPECT_EQ(nodes.nodes(0).name(), "node-a");
  EXPECT_EQ(nodes.nodes(0).state(), v1::Node::READY);
  v1::WorkerMessage log;
  log.mutable_log()->set_trainer_id("job-1-g1-r0");
  log.mutable_log()->set_data("hello\n");
  ASSERT_TRUE(stream->Write(log));
  ASSERT_TRUE(stream->Read(&command));
  EXPECT_EQ(command.log_acknowledged().offset(), 6u);
  // What cannot be stored now is not acknowledged, so that it comes again.
  ASSERT_TRUE(std::filesystem::remove_all(folder_.path() / "storage/logs/job-1") > 0);
  folder_.Write("storage/logs/job-1", "no folder");
  log.mutable_log()->set_offset(6);
  ASSERT_TRUE(stream->Write(log));
  ASSERT_TRUE(stream->Read(&command));
  EXPECT_EQ(command.log_acknowledged().offset(), 6u);
  // A second stream of the same name takes over.
  auto newer_context = Context();
  auto newer = v1::WorkerService::NewStub(channel_)->Connect(newer_context.get());
  ASSERT_TRUE(newer->Write(message));
  ASSERT_TRUE(newer->Read(&command));
  EXPECT_FALSE(stream->Read(&command));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::ABORTED);
  newer->WritesDone();
  EXPECT_TRUE(newer->Finish().ok());
}

TEST_F(ServerTest, TwoProcessesDoNotShareANodesName) {
  Start(Config());
  auto stub = v1::WorkerService::NewStub(channel_);
  v1::WorkerMessage message;
  message.mutable_register_()->set_node("gpu-1");
  message.mutable_register_()->set_slots(1);
  message.mutable_register_()->set_instance("process-one");
  auto first_context = Context();
  auto first = stub->Connect(first_context.get());
  ASSERT_TRUE(first->Write(message));
  v1::WorkerCommand command;
  ASSERT_TRUE(first->Read(&command));

  message.mutable_register_()->set_instance("process-two");
  auto second_context = Context();
  auto second = stub->Connect(second_context.get());
  ASSERT_TRUE(second->Write(message));
  EXPECT_FALSE(second->Read(&command));
  grpc::Status refused = second->Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(refused.error_message(), HasSubstr("the key 'node'"));
  EXPECT_THAT(refused.error_message(), testing::ContainsRegex("127.0.0.1:.*127.0.0.1:"));

  const auto comes_in = [&] {
    auto context = Context();
    auto stream = stub->Connect(context.get());
    const bool taken = stream->Write(message) && stream->Read(&command);
    context->TryCancel();
    (void)stream->Finish();
    return taken;
  };
  // The name is free when its stream has ended, of which the client hears a moment before; the same
  // process may always come back.
  first->WritesDone();
  EXPECT_TRUE(first->Finish().ok());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!comes_in()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(comes_in());
}

TEST_F(ServerTest, AnEmptyStorageIsNoClusterUnlessAskedFor) {
  CoordinatorConfig config = Config();
  config.init = false;
  std::filesystem::create_directories(config.storage);
  auto refused = CoordinatorServer::Start(config);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.status().message(), HasSubstr("--init"));
  EXPECT_TRUE(std::filesystem::is_empty(config.storage));

  config.init = true;
  Start(config);
  server_.reset();
  const std::string id = *ReadFile(config.storage / "cluster-id");
  config.init = false;
  Start(config);
  EXPECT_EQ(*ReadFile(config.storage / "cluster-id"), id);
  // A storage of an older version has a database, but no id yet.
  server_.reset();
  std::filesystem::remove(config.storage / "cluster-id");
  Start(config);
  EXPECT_TRUE(std::filesystem::exists(config.storage / "cluster-id"));
}

TEST_F(ServerTest, BadRegistrationsAreRefused) {
  Start(Config());
  for (const auto& [node, slots] : std::vector<std::pair<std::string, uint32_t>>{
           {"", 1}, {"../x", 1}, {"a", 0}, {"a", 99999}}) {
    auto context = Context();
    auto stream = v1::WorkerService::NewStub(channel_)->Connect(context.get());
    v1::WorkerMessage message;
    message.mutable_register_()->set_node(node);
    message.mutable_register_()->set_slots(slots);
    stream->Write(message);
    v1::WorkerCommand command;
    EXPECT_FALSE(stream->Read(&command));
    grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  }
}

TEST_F(ServerTest, WatchingWhatIsNotThere) {
  Start(Config());
  auto context = Context();
  v1::WatchJobRequest request;
  request.set_id("nothing");
  auto stream = v1::JobService::NewStub(channel_)->WatchJob(context.get(), request);
  v1::JobEvent event;
  EXPECT_FALSE(stream->Read(&event));
  grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("nothing"));
}

TEST_F(ServerTest, ShutdownEndsOpenStreams) {
  Start(Config());
  auto context = Context();
  auto stream = v1::WorkerService::NewStub(channel_)->Connect(context.get());
  v1::WorkerMessage message;
  message.mutable_register_()->set_node("node-a");
  message.mutable_register_()->set_slots(1);
  ASSERT_TRUE(stream->Write(message));
  v1::WorkerCommand command;
  ASSERT_TRUE(stream->Read(&command));
  server_.reset();
  while (stream->Read(&command)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace attune
