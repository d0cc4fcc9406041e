#include "worker/trainer/control.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

namespace attune::trainer {
namespace {

rpc::KeptStream<v1::TrainerMessage, v1::TrainerCommand>::Options ConnectionOptions(
    const Control::Options& options) {
  rpc::KeptStream<v1::TrainerMessage, v1::TrainerCommand>::Options out;
  out.endpoint = options.endpoint;
  out.backoff_initial = options.backoff_initial;
  out.backoff_max = options.backoff_max;
  out.seed = std::hash<std::string>()(options.trainer_id);
  return out;
}

}  // namespace

Control::Control(Options options, std::shared_ptr<v1::TrainerService::StubInterface> stub,
                 TaskRunner* runner, ReportBuffer* reports)
    : options_(std::move(options)),
      stub_(std::move(stub)),
      runner_(runner),
      reports_(reports),
      connection_(ConnectionOptions(options_), this) {}

Control::~Control() {
  connection_.Shutdown();
}

std::string Control::why() const {
  MutexLock lock(&mutex_);
  return why_;
}

void Control::Finish(End end, const std::string& why) {
  MutexLock lock(&mutex_);
  if (end_ != End::kNone) return;
  why_ = why;
  end_ = end;
}

std::unique_ptr<Control::Connection::Stream> Control::Open(grpc::ClientContext* context) {
  return stub_->Attach(context);
}

v1::TrainerMessage Control::Hello() {
  v1::TrainerMessage message;
  v1::TrainerHello* hello = message.mutable_hello();
  hello->set_trainer_id(options_.trainer_id);
  hello->set_pid(getpid());
  // In this order: a task that ends in between has its report in the buffer, so it is not taken for
  // lost.
  hello->set_running_task_id(runner_->running_task_id());
  hello->set_next_sequence(reports_->first_sequence());
  reports_->Rewind();
  return message;
}

std::optional<v1::TrainerMessage> Control::Next(SteadyTime now, SteadyTime* wake_at) {
  if (auto report = reports_->NextUnsent()) return report;
  if (now < next_progress_) {
    *wake_at = std::min(*wake_at, next_progress_);
    return std::nullopt;
  }
  auto progress = runner_->TakeProgress();
  if (!progress) return std::nullopt;
  next_progress_ = now + options_.progress_interval;
  v1::TrainerMessage message;
  *message.mutable_progress() = *std::move(progress);
  return message;
}

void Control::OnMessage(const v1::TrainerCommand& command) {
  switch (command.command_case()) {
    case v1::TrainerCommand::kTask:
      runner_->Give(command.task());
      return;
    case v1::TrainerCommand::kAcknowledged:
      reports_->Acknowledge(command.acknowledged().sequence());
      return;
    case v1::TrainerCommand::kStop:
      spdlog::info("told to stop task {}: {}", command.stop().task_id(), command.stop().reason());
      runner_->Stop(command.stop().task_id(),
                    command.stop().checkpoint() ? engine::StopRequest::kCheckpointAndStop
                                                : engine::StopRequest::kStop,
                    command.stop().reason());
      return;
    case v1::TrainerCommand::kExit:
      Finish(End::kTold, command.exit().reason());
      return;
    case v1::TrainerCommand::COMMAND_NOT_SET:
      return;  // of a newer coordinator
  }
}

std::optional<std::chrono::milliseconds> Control::OnBroken(const Status& status, bool connected,
                                                           std::chrono::milliseconds away) {
  if (connected) spdlog::warn("stream to the coordinator lost: {}", status.ToString());
  switch (status.code()) {
    case StatusCode::kUnauthenticated:
    case StatusCode::kPermissionDenied:
    case StatusCode::kNotFound:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kInvalidArgument:
      Finish(End::kRefused, status.message());
      return std::nullopt;
    default:
      break;
  }
  if (away < options_.away_max) return std::chrono::milliseconds(0);
  Finish(End::kAway, "no stream to " + options_.endpoint.address + " for " +
                         std::to_string(away.count() / 1000) + " s: " + status.message());
  return std::nullopt;
}

}  // namespace attune::trainer
