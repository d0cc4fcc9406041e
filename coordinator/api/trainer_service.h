#pragma once

#include "attune/v1/trainer.grpc.pb.h"
#include "coordinator/api/authenticator.h"
#include "coordinator/api/message_stream.h"
#include "coordinator/jobs/control_loop.h"
#include "coordinator/jobs/ports.h"
#include "coordinator/rendezvous/key_value_store.h"

namespace attune {

class TrainerStream;

// The trainers' streams, and the way to reach them.
class TrainerStreams final : public jobs::TrainerLink {
 public:
  void Send(const std::string& trainer_id, const v1::TrainerCommand& command) override {
    hub_.Send(trainer_id, command);
  }
  void Disconnect(const std::string& trainer_id) override;
  StreamHub<TrainerStream, v1::TrainerCommand>& hub() { return hub_; }

 private:
  StreamHub<TrainerStream, v1::TrainerCommand> hub_;
};

// All outlive the service.
class TrainerService final : public v1::TrainerService::CallbackService {
 public:
  TrainerService(jobs::ControlLoop* loop, TrainerStreams* streams, rendezvous::KeyValueStore* store,
                 const Authenticator* authenticator)
      : loop_(loop), streams_(streams), store_(store), authenticator_(authenticator) {}

  grpc::ServerBidiReactor<v1::TrainerMessage, v1::TrainerCommand>* Attach(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* StoreSet(grpc::CallbackServerContext* context,
                                     const v1::StoreSetRequest* request,
                                     v1::StoreValue* response) override;
  grpc::ServerUnaryReactor* StoreGet(grpc::CallbackServerContext* context,
                                     const v1::StoreGetRequest* request,
                                     v1::StoreValue* response) override;
  grpc::ServerUnaryReactor* StoreAdd(grpc::CallbackServerContext* context,
                                     const v1::StoreAddRequest* request,
                                     v1::StoreAddResponse* response) override;
  grpc::ServerUnaryReactor* StoreCheck(grpc::CallbackServerContext* context,
                                       const v1::StoreCheckRequest* request,
                                       v1::StoreCheckResponse* response) override;
  grpc::ServerUnaryReactor* StoreDelete(grpc::CallbackServerContext* context,
                                        const v1::StoreDeleteRequest* request,
                                        v1::StoreCheckResponse* response) override;

 private:
  // Whether the caller may touch the run's keys.
  grpc::Status CheckRun(const grpc::CallbackServerContext& context, const std::string& run) const;

  jobs::ControlLoop* const loop_;
  TrainerStreams* const streams_;
  rendezvous::KeyValueStore* const store_;
  const Authenticator* const authenticator_;
};

// One trainer's stream.
class TrainerStream final : public MessageStream<v1::TrainerMessage, v1::TrainerCommand> {
 public:
  TrainerStream(grpc::CallbackServerContext* context, std::string run, jobs::ControlLoop* loop,
                TrainerStreams* streams)
      : MessageStream(context), run_(std::move(run)), loop_(loop), streams_(streams) {}

 private:
  static constexpr size_t kPendingReportsMax = 10'000;

  grpc::Status OnMessage(const v1::TrainerMessage& message) override;
  void OnEnd() override;

  const std::string run_;
  jobs::ControlLoop* const loop_;
  TrainerStreams* const streams_;
  std::string trainer_id_;  // empty before the hello
};

}  // namespace attune
