#include "coordinator/api/trainer_service.h"

#include <algorithm>

#include "common/rpc/rpc.h"

namespace attune {
namespace {

constexpr uint32_t kWaitMillisecondsMax = 300'000;
constexpr int kKeysMax = 10'000;

grpc::Status Overloaded() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the coordinator is shutting down or busy");
}

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace

void TrainerStreams::Disconnect(const std::string& trainer_id) {
  hub_.Close(trainer_id, grpc::Status(grpc::StatusCode::ABORTED, "dial again"));
}

grpc::Status TrainerService::CheckRun(const grpc::CallbackServerContext& context,
                                      const std::string& run) const {
  std::string own;
  grpc::Status status = authenticator_->CheckTrainer(context, &own);
  if (!status.ok() || own == run) return status;
  return rpc::ToGrpc(
      Status(StatusCode::kPermissionDenied, "this token is good for " + own + ", not " + run));
}

grpc::ServerBidiReactor<v1::TrainerMessage, v1::TrainerCommand>* TrainerService::Attach(
    grpc::CallbackServerContext* context) {
  std::string run;
  grpc::Status allowed = authenticator_->CheckTrainer(*context, &run);
  auto* stream = new TrainerStream(context, run, loop_, streams_);
  if (!allowed.ok()) {
    stream->Close(allowed);
  } else {
    stream->Begin();
  }
  return stream;
}

grpc::Status TrainerStream::OnMessage(const v1::TrainerMessage& message) {
  if (message.has_hello()) {
    const std::string& id = message.hello().trainer_id();
    if (id.rfind(run_ + "-r", 0) != 0 || (!trainer_id_.empty() && trainer_id_ != id)) {
      return rpc::ToGrpc(Status(StatusCode::kPermissionDenied,
                                "this token is good for trainers of " + run_ + ", not " + id));
    }
    trainer_id_ = id;
    bool taken = false;
    streams_->hub().Bind(id, this, [&] {
      taken = loop_->Post([hello = message.hello()](jobs::Controller& controller) {
        controller.OnTrainerHello(hello);
      });
    });
    return taken ? grpc::Status::OK : Overloaded();
  }
  if (trainer_id_.empty()) {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "the first message must be hello");
  }
  // Reports that cannot be committed pile up: then the trainer keeps its own.
  bool taken = loop_->Post(
      [this_id = trainer_id_, streams = streams_, message](jobs::Controller& controller) {
        if (controller.pending_reports() > kPendingReportsMax) {
          streams->hub().Close(this_id, Overloaded());
          return;
        }
        controller.OnTrainerMessage(this_id, message);
      });
  return taken ? grpc::Status::OK : Overloaded();
}

void TrainerStream::OnEnd() {
  if (trainer_id_.empty()) return;
  streams_->hub().Unbind(trainer_id_, this, [this] {
    loop_->Post(
        [id = trainer_id_](jobs::Controller& controller) { controller.OnTrainerDetached(id); });
  });
}

grpc::ServerUnaryReactor* TrainerService::StoreSet(grpc::CallbackServerContext* context,
                                                   const v1::StoreSetRequest* request,
                                                   v1::StoreValue* response) {
  grpc::Status allowed = CheckRun(*context, request->run());
  if (!allowed.ok()) return Answer(context, allowed);
  if (!request->has_expected()) {
    Status status = store_->Set(request->run(), request->key(), request->value());
    if (status.ok()) response->set_value(request->value());
    response->set_found(status.ok());
    return Answer(context, rpc::ToGrpc(status));
  }
  auto value =
      store_->CompareAndSet(request->run(), request->key(), request->expected(), request->value());
  if (value.ok()) response->set_value(*value);
  response->set_found(value.ok());
  return Answer(context, rpc::ToGrpc(value.status()));
}

grpc::ServerUnaryReactor* TrainerService::StoreGet(grpc::CallbackServerContext* context,
                                                   const v1::StoreGetRequest* request,
                                                   v1::StoreValue* response) {
  grpc::Status allowed = CheckRun(*context, request->run());
  if (!allowed.ok()) return Answer(context, allowed);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto wait =
      std::chrono::milliseconds(std::min(request->wait_milliseconds(), kWaitMillisecondsMax));
  store_->Get(request->run(), request->key(), wait, [=](Result<std::string> value) {
    response->set_found(value.ok());
    if (value.ok()) response->set_value(*value);
    bool waited = value.status().code() == StatusCode::kDeadlineExceeded;
    reactor->Finish(waited ? grpc::Status::OK : rpc::ToGrpc(value.status()));
  });
  return reactor;
}

grpc::ServerUnaryReactor* TrainerService::StoreAdd(grpc::CallbackServerContext* context,
                                                   const v1::StoreAddRequest* request,
                                                   v1::StoreAddResponse* response) {
  grpc::Status allowed = CheckRun(*context, request->run());
  if (!allowed.ok()) return Answer(context, allowed);
  auto sum = store_->Add(request->run(), request->key(), request->amount());
  if (sum.ok()) response->set_value(*sum);
  return Answer(context, rpc::ToGrpc(sum.status()));
}

grpc::ServerUnaryReactor* TrainerService::StoreCheck(grpc::CallbackServerContext* context,
                                                     const v1::StoreCheckRequest* request,
                                                     v1::StoreCheckResponse* response) {
  grpc::Status allowed = CheckRun(*context, request->run());
  if (!allowed.ok()) return Answer(context, allowed);
  if (request->keys_size() > kKeysMax) {
    return Answer(context, rpc::ToGrpc(InvalidArgument("too many keys").WithField("keys")));
  }
  auto present = store_->Check(request->run(), {request->keys().begin(), request->keys().end()});
  if (present.ok()) response->set_all_present(*present);
  return Answer(context, rpc::ToGrpc(present.status()));
}

grpc::ServerUnaryReactor* TrainerService::StoreDelete(grpc::CallbackServerContext* context,
                                                      const v1::StoreDeleteRequest* request,
                                                      v1::StoreCheckResponse* response) {
  grpc::Status allowed = CheckRun(*context, request->run());
  if (!allowed.ok()) return Answer(context, allowed);
  auto deleted = store_->Delete(request->run(), request->key());
  if (deleted.ok()) response->set_all_present(*deleted);
  return Answer(context, rpc::ToGrpc(deleted.status()));
}

}  // namespace attune
