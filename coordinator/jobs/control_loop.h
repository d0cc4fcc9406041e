#pragma once

// The thread that owns the controller, and one for its background work. Others hand it functions:
// Post for what happened, Call for what needs an answer.

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "coordinator/jobs/controller.h"

namespace attune::jobs {

class ControlLoop final : public Background {
 public:
  static constexpr size_t kQueueMax = 100'000;
  static constexpr std::chrono::milliseconds kTickInterval{100};
  static constexpr std::chrono::seconds kCallTimeout{30};

  ControlLoop() = default;
  ~ControlLoop() override;

  // The controller outlives the threads. Start once; Shutdown may be repeated.
  void Start(Controller* controller);
  // Runs what is queued, then ends the threads. Calls made later fail.
  void Shutdown() EXCLUDES(mutex_);

  // False when it was not taken: shut down, or the queue is full.
  bool Post(std::function<void(Controller&)> function) EXCLUDES(mutex_);

  // Runs function on the loop and waits for its answer. kUnavailable when it was not taken or the
  // loop is too busy; then the function may still run later.
  template <typename T>
  Result<T> Call(std::function<Result<T>(Controller&)> function) {
    auto answer = std::make_shared<Answer<T>>();
    bool taken = Post([answer, function = std::move(function)](Controller& controller) {
      answer->Set(function(controller));
    });
    if (!taken) return Unavailable("the coordinator is shutting down or overloaded: try again");
    return answer->Wait(std::chrono::steady_clock::now() + kCallTimeout);
  }

  // done is run however full the queue is, unless the loop is shut down first. The controller asks
  // for one piece of work of a job at a time, which bounds what waits here.
  void Run(std::function<void()> work, std::function<void()> done) override EXCLUDES(mutex_);

 private:
  template <typename T>
  class Answer {
   public:
    void Set(Result<T> result) {
      MutexLock lock(&mutex_);
      result_ = std::move(result);
      set_.NotifyAll();
    }
    Result<T> Wait(std::chrono::steady_clock::time_point deadline) {
      MutexLock lock(&mutex_);
      while (!result_) {
        if (!set_.WaitUntil(&mutex_, deadline) && !result_) {
          return Unavailable("the coordinator is too busy: try again");
        }
      }
      return *std::move(result_);
    }

   private:
    Mutex mutex_;
    CondVar set_;
    std::optional<Result<T>> result_ GUARDED_BY(mutex_);
  };
  struct Work {
    std::function<void()> work, done;
  };

  void RunLoop() EXCLUDES(mutex_);
  void RunBackground() EXCLUDES(mutex_);

  Controller* controller_ = nullptr;
  std::thread loop_;
  std::thread background_;
  Mutex mutex_;
  CondVar wake_;
  CondVar work_wake_;
  std::deque<std::function<void(Controller&)>> queue_ GUARDED_BY(mutex_);
  std::deque<Work> work_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace attune::jobs
