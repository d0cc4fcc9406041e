#include "worker/trainer/task_runner.h"

#include <spdlog/spdlog.h>

#include <exception>
#include <utility>

#include "common/base/utf8.h"

namespace attune::trainer {
namespace {

void AddCounts(const engine::SplitCounts& counts, const std::string& split,
               google::protobuf::Map<std::string, double>* metrics) {
  (*metrics)[split + "truncated"] += static_cast<double>(counts.truncated);
  (*metrics)[split + "without_target"] += static_cast<double>(counts.without_target);
  (*metrics)[split + "unusable"] += static_cast<double>(counts.unusable);
}

v1::TaskDone FromPrepareResult(const engine::PrepareResult& result) {
  v1::TaskDone done;
  auto& metrics = *done.mutable_metrics();
  metrics["examples"] = static_cast<double>(result.examples);
  metrics["tokens"] = static_cast<double>(result.tokens);
  metrics["target_tokens"] = static_cast<double>(result.target_tokens);
  metrics["validation_examples"] = static_cast<double>(result.validation_examples);
  for (const engine::DatasetCounts& dataset : result.datasets) {
    AddCounts(dataset.train, "", &metrics);
    AddCounts(dataset.validation, "validation_", &metrics);
  }
  metrics["cached"] = result.cached ? 1 : 0;
  return done;
}

v1::TaskDone FromTrainResult(const engine::TrainResult& result) {
  v1::TaskDone done;
  done.set_output_path(result.output.string());
  done.set_total_steps(static_cast<uint32_t>(result.steps));
  auto& metrics = *done.mutable_metrics();
  metrics["loss"] = result.final_loss;
  if (result.first_validation_loss)
    metrics["first_validation_loss"] = *result.first_validation_loss;
  if (result.final_validation_loss) metrics["validation_loss"] = *result.final_validation_loss;
  if (result.final_validation_accuracy) {
    metrics["validation_accuracy"] = *result.final_validation_accuracy;
  }
  return done;
}

std::string RunName(const v1::TrainerTask& task) {
  return task.job_id() + "-g" + std::to_string(task.generation());
}

}  // namespace

TaskRunner::TaskRunner(Place place, StoreFactory stores, ReportBuffer* reports,
                       std::function<void()> changed)
    : place_(std::move(place)),
      stores_(std::move(stores)),
      reports_(reports),
      changed_(std::move(changed)) {}

TaskRunner::~TaskRunner() {
  ATTUNE_CHECK(!thread_.joinable());
}

void TaskRunner::Start() {
  thread_ = std::thread([this] { Run(); });
}

bool TaskRunner::Shutdown(std::chrono::steady_clock::time_point deadline) {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    waiting_.reset();
    if (observer_ && observer_->ShouldStop() == engine::StopRequest::kNone) {
      observer_->Stop(engine::StopRequest::kStop);
    }
    condition_.NotifyAll();
    while (thread_.joinable() && !ended_) {
      if (!condition_.WaitUntil(&mutex_, deadline)) return false;
    }
  }
  if (thread_.joinable()) thread_.join();
  return true;
}

void TaskRunner::Give(const v1::TrainerTask& task) {
  MutexLock lock(&mutex_);
  if (stopping_ || task.task_id() == last_task_id_) return;
  last_task_id_ = task.task_id();
  waiting_ = task;
  condition_.NotifyAll();
}

void TaskRunner::Stop(const std::string& task_id, engine::StopRequest how,
                      const std::string& reason) {
  v1::TrainerMessage message;
  {
    MutexLock lock(&mutex_);
    stop_reason_ = reason;
    if (observer_ && (task_id.empty() || task_id == running_task_id_)) observer_->Stop(how);
    if (!waiting_ || (!task_id.empty() && task_id != waiting_->task_id())) return;
    message.mutable_failed()->set_task_id(waiting_->task_id());
    message.mutable_failed()->set_message("stopped before it started: " + ToValidUtf8(reason));
    waiting_.reset();
  }
  reports_->Append(std::move(message));
  changed_();
}

std::string TaskRunner::running_task_id() const {
  MutexLock lock(&mutex_);
  return running_task_id_.empty() && waiting_ ? waiting_->task_id() : running_task_id_;
}

std::optional<v1::TaskProgress> TaskRunner::TakeProgress() {
  MutexLock lock(&mutex_);
  return observer_ ? observer_->TakeProgress() : std::nullopt;
}

void TaskRunner::Run() {
  while (true) {
    v1::TrainerTask task;
    std::shared_ptr<TaskObserver> observer;
    {
      MutexLock lock(&mutex_);
      while (!stopping_ && !waiting_) condition_.Wait(&mutex_);
      if (stopping_) {
        ended_ = true;
        condition_.NotifyAll();
        return;
      }
      task = *std::exchange(waiting_, std::nullopt);
      // Together, so that a stop always finds the task: waiting, or with an observer to tell.
      running_task_id_ = task.task_id();
      observer_ = observer = std::make_shared<TaskObserver>(task, reports_, changed_);
      stop_reason_.clear();
    }
    RunTask(task, *observer);
  }
}

void TaskRunner::RunTask(const v1::TrainerTask& task, TaskObserver& observer) {
  spdlog::info("task {} rank {} of {}", task.task_id(), task.rank(), task.world_size());
  Result<v1::TaskDone> result = Internal("unreachable");
  try {
    result = Execute(task, observer);
  } catch (const std::exception& e) {
    // The engine converts its exceptions; one that escapes is a bug, but the report of it still
    // matters.
    result = Internal(std::string("exception out of the engine: ") + e.what());
  }
  v1::TrainerMessage message;
  if (result.ok()) {
    *message.mutable_done() = std::move(result).value();
    message.mutable_done()->set_task_id(task.task_id());
    spdlog::info("task {} done", task.task_id());
  } else {
    v1::TaskFailed* failed = message.mutable_failed();
    failed->set_task_id(task.task_id());
    failed->set_kind(ToFailureKind(result.status()));
    failed->set_message(ToValidUtf8(result.status().message()));
    failed->set_step(static_cast<uint32_t>(observer.step()));
    spdlog::error("task {} failed: {}", task.task_id(), result.status().ToString());
  }
  reports_->Append(std::move(message));
  {
    MutexLock lock(&mutex_);
    if (!stop_reason_.empty()) spdlog::info("the stop was asked for: {}", stop_reason_);
    observer_.reset();
    running_task_id_.clear();
  }
  changed_();
}

Result<v1::TaskDone> TaskRunner::Execute(const v1::TrainerTask& task, TaskObserver& observer) {
  switch (task.kind_case()) {
    case v1::TrainerTask::kPrepare: {
      ATTUNE_ASSIGN_OR_RETURN(auto result, engine::Prepare(ToPrepareTask(task, place_), observer));
      if (task.rank() == 0) {
        ATTUNE_RETURN_IF_ERROR(engine::CheckTeaches(ToPrepareTask(task, place_)));
      }
      return FromPrepareResult(result);
    }
    case v1::TrainerTask::kTrain:
      return Train(task, observer);
    case v1::TrainerTask::kPlan:
      return Plan(task, observer);
    case v1::TrainerTask::kGenerate:
      ATTUNE_RETURN_IF_ERROR(engine::Generate(ToGenerateTask(task, place_), observer));
      return v1::TaskDone();
    case v1::TrainerTask::kExport: {
      ATTUNE_RETURN_IF_ERROR(engine::Export(ToExportTask(task), observer));
      v1::TaskDone done;
      done.set_output_path(task.export_().folder());
      return done;
    }
    case v1::TrainerTask::kEvaluate:
      ATTUNE_RETURN_IF_ERROR(engine::Evaluate(ToEvaluateTask(task, place_), observer));
      return v1::TaskDone();
    case v1::TrainerTask::kEmbed:
      ATTUNE_RETURN_IF_ERROR(engine::Embed(ToEmbedTask(task, place_), observer));
      return v1::TaskDone();
    case v1::TrainerTask::KIND_NOT_SET:
      break;
  }
  return Internal("task " + task.task_id() +
                  " is of a kind this trainer does not know; are coordinator and trainer of one "
                  "version?");
}

Result<v1::TaskDone> TaskRunner::Train(const v1::TrainerTask& task, TaskObserver& observer) {
  const engine::Membership membership = ToMembership(task, place_);
  std::shared_ptr<engine::KeyValueStore> store;
  if (membership.world_size > 1) store = stores_(RunName(task));
  ATTUNE_ASSIGN_OR_RETURN(
      auto result, engine::Train(ToTrainTask(task, place_), membership, store.get(), observer));
  return FromTrainResult(result);
}

Result<v1::TaskDone> TaskRunner::Plan(const v1::TrainerTask& task, TaskObserver& observer) {
  const int ranks = std::max(1, static_cast<int>(task.plan().ranks()));
  ATTUNE_ASSIGN_OR_RETURN(auto plan,
                          engine::Plan(ToTrainTask(task, place_), ranks, observer, place_.device));
  observer.OnOutput(ToPlanJson(plan, ranks));
  v1::TaskDone done = FromPrepareResult(plan.data);
  done.set_total_steps(static_cast<uint32_t>(plan.steps));
  return done;
}

}  // namespace attune::trainer
