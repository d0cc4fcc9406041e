#include "coordinator/api/worker_service.h"

#include "common/base/files.h"
#include "common/log/log.h"
#include "common/rpc/rpc.h"

namespace attune {
namespace {

constexpr uint32_t kSlotsMax = 1024;

grpc::Status Overloaded() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the coordinator is shutting down or busy");
}

Status CheckRegistration(const v1::RegisterWorker& worker) {
  if (!IsValidName(worker.node())) {
    return InvalidArgument("node name '" + worker.node() +
                           "' must be 1 to 63 of a-z, 0-9, '.', '_' and '-'")
        .WithField("node");
  }
  if (worker.slots() == 0 || worker.slots() > kSlotsMax) {
    return InvalidArgument("slots must be from 1 to " + std::to_string(kSlotsMax) + ", not " +
                           std::to_string(worker.slots()))
        .WithField("slots");
  }
  return Status();
}

}  // namespace

void WorkerStreams::Disconnect(const std::string& node) {
  hub_.Close(node, grpc::Status(grpc::StatusCode::ABORTED, "register again"));
}

grpc::ServerBidiReactor<v1::WorkerMessage, v1::WorkerCommand>* WorkerService::Connect(
    grpc::CallbackServerContext* context) {
  auto* stream = new WorkerStream(context, loop_, streams_, logs_);
  grpc::Status allowed = authenticator_->CheckWorker(*context);
  if (!allowed.ok()) {
    stream->Close(allowed);
  } else {
    stream->Begin();
  }
  return stream;
}

grpc::Status WorkerStream::OnMessage(const v1::WorkerMessage& message) {
  if (message.has_register_()) return Register(message.register_());
  if (node_.empty()) {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                        "the first message must be the registration");
  }
  bool taken = true;
  if (message.has_heartbeat()) {
    taken =
        loop_->Post([node = node_, heartbeat = message.heartbeat()](jobs::Controller& controller) {
          controller.OnHeartbeat(node, heartbeat);
        });
  } else if (message.has_exited()) {
    taken = loop_->Post([node = node_, exited = message.exited()](jobs::Controller& controller) {
      controller.OnTrainerExited(node, exited);
    });
  } else if (message.has_log()) {
    return TakeLog(message.log());
  }
  return taken ? grpc::Status::OK : Overloaded();
}

grpc::Status WorkerStream::Register(const v1::RegisterWorker& worker) {
  if (Status status = CheckRegistration(worker); !status.ok()) return rpc::ToGrpc(status);
  if (!node_.empty() && node_ != worker.node()) {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "a stream has one node");
  }
  node_ = worker.node();
  bool taken = false;
  streams_->hub().Bind(node_, this, [&] {
    taken = loop_->Post([worker, address = peer()](jobs::Controller& controller) {
      controller.OnWorkerRegistered(worker, address);
    });
  });
  return taken ? grpc::Status::OK : Overloaded();
}

// What cannot be written is not acknowledged: the worker keeps it and sends it again later.
grpc::Status WorkerStream::TakeLog(const v1::LogData& log) {
  auto end = logs_->Append(log.trainer_id(), log.offset(), log.data());
  v1::WorkerCommand command;
  command.mutable_log_acknowledged()->set_trainer_id(log.trainer_id());
  uint64_t offset = log.offset();
  if (end.ok()) {
    offset = *end;
  } else {
    spdlog::warn("log of {} not taken: {}", log.trainer_id(), end.status().ToString());
    const bool ours = end.status().code() != StatusCode::kInvalidArgument;
    if (!ours) offset += log.data().size();  // no trainer's: the worker may drop it
  }
  command.mutable_log_acknowledged()->set_offset(offset);
  Enqueue(command);
  return grpc::Status::OK;
}

void WorkerStream::OnEnd() {
  if (node_.empty()) return;
  streams_->hub().Unbind(node_, this, [this] {
    spdlog::info("node={} stream ended", node_);
    loop_->Post(
        [node = node_](jobs::Controller& controller) { controller.OnWorkerDetached(node); });
  });
}

}  // namespace attune
