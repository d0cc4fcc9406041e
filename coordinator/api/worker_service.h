#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "attune/v1/worker.grpc.pb.h"
#include "common/base/mutex.h"
#include "coordinator/api/authenticator.h"
#include "coordinator/api/log_store.h"
#include "coordinator/api/message_stream.h"
#include "coordinator/jobs/control_loop.h"
#include "coordinator/launching/launcher.h"

namespace attune {

class WorkerStream;

// The workers' streams, and the way to reach them.
class WorkerStreams final : public launching::WorkerLink {
 public:
  void Send(const std::string& node, const v1::WorkerCommand& command) override {
    hub_.Send(node, command);
  }
  void Disconnect(const std::string& node) override;
  StreamHub<WorkerStream, v1::WorkerCommand>& hub() { return hub_; }

  // A process makes a node's name its own, while it is heard from: two hosts of one name would end
  // each other's trainers for ever. Returns the address of the other that has it, or nothing.
  std::optional<std::string> Claim(const std::string& node, const std::string& instance,
                                   const std::string& address) EXCLUDES(mutex_);
  void Heard(const std::string& node, const std::string& instance) EXCLUDES(mutex_);
  void Release(const std::string& node, const std::string& instance) EXCLUDES(mutex_);

 private:
  struct Claimed {
    std::string instance, address;
    std::chrono::steady_clock::time_point heard;
  };
  Mutex mutex_;
  std::map<std::string, Claimed> claims_ GUARDED_BY(mutex_);  // by node
  StreamHub<WorkerStream, v1::WorkerCommand> hub_;
};

// All outlive the service.
class WorkerService final : public v1::WorkerService::CallbackService {
 public:
  WorkerService(jobs::ControlLoop* loop, WorkerStreams* streams, LogStore* logs,
                const Authenticator* authenticator)
      : loop_(loop), streams_(streams), logs_(logs), authenticator_(authenticator) {}

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::WorkerCommand>* Connect(
      grpc::CallbackServerContext* context) override;

 private:
  jobs::ControlLoop* const loop_;
  WorkerStreams* const streams_;
  LogStore* const logs_;
  const Authenticator* const authenticator_;
};

// One worker's stream.
class WorkerStream final : public MessageStream<v1::WorkerMessage, v1::WorkerCommand> {
 public:
  WorkerStream(grpc::CallbackServerContext* context, jobs::ControlLoop* loop,
               WorkerStreams* streams, LogStore* logs)
      : MessageStream(context), loop_(loop), streams_(streams), logs_(logs) {}

 private:
  grpc::Status OnMessage(const v1::WorkerMessage& message) override;
  void OnEnd() override;
  grpc::Status Register(const v1::RegisterWorker& worker);
  grpc::Status TakeLog(const v1::LogData& log);

  jobs::ControlLoop* const loop_;
  WorkerStreams* const streams_;
  LogStore* const logs_;
  std::string node_;  // empty before the registration
  std::string instance_;
};

}  // namespace attune
