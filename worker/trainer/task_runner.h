#pragma once

// Runs the tasks that the coordinator gives, one at a time, on a thread of its own, and turns what
// the engine observes into reports. The stream's threads go on meanwhile.

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "attune/v1/trainer.pb.h"
#include "common/base/mutex.h"
#include "worker/engine/engine.h"
#include "worker/trainer/report_buffer.h"
#include "worker/trainer/translate.h"

namespace attune::trainer {

// A task on its way through the engine: what it is told and what it tells.
class TaskObserver : public engine::Observer {
 public:
  // reports and changed outlive it. changed: there is something new to send.
  TaskObserver(const v1::TrainerTask& task, ReportBuffer* reports, std::function<void()> changed)
      : task_(task), reports_(reports), changed_(std::move(changed)) {}

  void OnProgress(const engine::Progress& progress) override EXCLUDES(mutex_);
  void OnStep(const engine::StepReport& step) override;
  void OnEvaluation(const engine::EvaluationReport& evaluation) override;
  void OnCheckpoint(int step, const std::filesystem::path& path) override;
  void OnOutput(const std::string& line) override;
  void OnText(size_t prompt, const std::string& piece) override;
  void OnWarning(const std::string& message) override;  // into the log and the job
  engine::StopRequest ShouldStop() override { return stop_; }

  void Stop(engine::StopRequest how) { stop_ = how; }
  // The latest progress, once.
  std::optional<v1::TaskProgress> TakeProgress() EXCLUDES(mutex_);
  int step() const { return step_; }

 private:
  void Report(v1::TrainerMessage message);
  void ReportOutput(const std::string& text);
  // As lines of output what OnText was told since.
  void TellPieces();
  bool first_rank() const { return task_.rank() == 0; }

  const v1::TrainerTask& task_;
  ReportBuffer* const reports_;
  const std::function<void()> changed_;
  std::atomic<engine::StopRequest> stop_{engine::StopRequest::kNone};
  std::atomic<int> step_{0};
  // Of the engine's thread. Pieces of answers are told together some times a second: each token as
  // a report of its own would be a transaction for each.
  std::map<size_t, std::string> pieces_;  // by prompt
  std::chrono::steady_clock::time_point pieces_told_{};
  Mutex mutex_;
  std::optional<v1::TaskProgress> progress_ GUARDED_BY(mutex_);
};

class TaskRunner {
 public:
  // Makes the key-value store of a run ("<job id>-g<generation>").
  using StoreFactory =
      std::function<std::shared_ptr<engine::KeyValueStore>(const std::string& run)>;

  TaskRunner(Place place, StoreFactory stores, ReportBuffer* reports,
             std::function<void()> changed);
  ~TaskRunner();

  void Start();
  // Asks the running task to stop and waits for it until the deadline; false when it did not end:
  // then only the end of the process ends it, and the object must not be destroyed.
  bool Shutdown(std::chrono::steady_clock::time_point deadline) EXCLUDES(mutex_);

  // A task that was given before is ignored: the coordinator may repeat itself. One that comes
  // while another runs waits for it; a second one takes the waiting one's place.
  void Give(const v1::TrainerTask& task) EXCLUDES(mutex_);
  // Of the task with this id, running or waiting; an empty id means any.
  void Stop(const std::string& task_id, engine::StopRequest how, const std::string& reason)
      EXCLUDES(mutex_);

  // Empty when idle.
  std::string running_task_id() const EXCLUDES(mutex_);
  std::optional<v1::TaskProgress> TakeProgress() EXCLUDES(mutex_);

 private:
  void Run() EXCLUDES(mutex_);
  void RunTask(const v1::TrainerTask& task, TaskObserver& observer) EXCLUDES(mutex_);
  Result<v1::TaskDone> Execute(const v1::TrainerTask& task, TaskObserver& observer);
  Result<v1::TaskDone> Train(const v1::TrainerTask& task, TaskObserver& observer);
  Result<v1::TaskDone> Plan(const v1::TrainerTask& task, TaskObserver& observer);

  const Place place_;
  const StoreFactory stores_;
  ReportBuffer* const reports_;
  const std::function<void()> changed_;
  std::thread thread_;

  mutable Mutex mutex_;
  CondVar condition_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::optional<v1::TrainerTask> waiting_ GUARDED_BY(mutex_);
  std::string last_task_id_ GUARDED_BY(mutex_);
  std::string running_task_id_ GUARDED_BY(mutex_);
  std::shared_ptr<TaskObserver> observer_ GUARDED_BY(mutex_);  // of the running task
  std::string stop_reason_ GUARDED_BY(mutex_);
};

}  // namespace attune::trainer
