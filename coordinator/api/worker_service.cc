#include "coordinator/api/worker_service.h"

#include "common/base/files.h"
#include "common/log/log.h"
#include "common/rpc/rpc.h"

namespace attune {
namespace {

constexpr uint32_t kSlotsMax = 1024;
constexpr std::chrono::seconds kClaimedFor{10};  // after the last word

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

std::optional<std::string> WorkerStreams::Claim(const std::string& node,
                                                const std::string& instance,
                                                const std::string& address) {
  const auto now = std::chrono::steady_clock::now();
  MutexLock lock(&mutex_);
  Claimed& claimed = claims_[node];
  const bool others = !claimed.instance.empty() && claimed.instance != instance;
  if (others && now - claimed.heard < kClaimedFor) return claimed.address;
  claimed = {instance, address, now};
  return std::nullopt;
}

void WorkerStreams::Heard(const std::string& node, const std::string& instance) {
  MutexLock lock(&mutex_);
  auto found = claims_.find(node);
  if (found == claims_.end() || found->second.instance != instance) return;
  found->second.heard = std::chrono::steady_clock::now();
}

void WorkerStreams::Release(const std::string& node, const std::string& instance) {
  MutexLock lock(&mutex_);
  auto found = claims_.find(node);
  if (found != claims_.end() && found->second.instance == instance) claims_.erase(found);
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
  streams_->Heard(node_, instance_);
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
  if (!worker.instance().empty()) {  // an older worker has none
    const auto other = streams_->Claim(worker.node(), worker.instance(), peer());
    if (other) {
      spdlog::error("a second worker calls itself {}: {}, beside {}", worker.node(), peer(),
                    *other);
      return rpc::ToGrpc(AlreadyExists("a worker of the name " + worker.node() + " runs at " +
                                       *other + ", and this one at " + peer() +
                                       ": give each a name of its own with the key 'node'"));
    }
  }
  node_ = worker.node();
  instance_ = worker.instance();
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
    streams_->Release(node_, instance_);
    spdlog::info("node={} stream ended", node_);
    loop_->Post(
        [node = node_](jobs::Controller& controller) { controller.OnWorkerDetached(node); });
  });
}

}  // namespace attune
