#include "coordinator/jobs/control_loop.h"

#include <utility>

namespace attune::jobs {

ControlLoop::~ControlLoop() {
  Shutdown();
}

void ControlLoop::Start(Controller* controller) {
  controller_ = controller;
  loop_ = std::thread([this] { RunLoop(); });
  background_ = std::thread([this] { RunBackground(); });
}

void ControlLoop::Shutdown() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.NotifyAll();
    work_wake_.NotifyAll();
  }
  if (loop_.joinable()) loop_.join();
  if (background_.joinable()) background_.join();
}

bool ControlLoop::Post(std::function<void(Controller&)> function) {
  MutexLock lock(&mutex_);
  if (stopping_ || queue_.size() >= kQueueMax) return false;
  queue_.push_back(std::move(function));
  wake_.NotifyOne();
  return true;
}

void ControlLoop::Run(std::function<void()> work, std::function<void()> done) {
  MutexLock lock(&mutex_);
  if (stopping_) return;  // the next start of the coordinator does it again
  work_.push_back({std::move(work), std::move(done)});
  work_wake_.NotifyOne();
}

void ControlLoop::RunLoop() {
  for (;;) {
    std::deque<std::function<void(Controller&)>> batch;
    bool stopping = false;
    {
      MutexLock lock(&mutex_);
      const auto deadline = std::chrono::steady_clock::now() + kTickInterval;
      while (queue_.empty() && !stopping_) {
        if (!wake_.WaitUntil(&mutex_, deadline)) break;
      }
      batch.swap(queue_);
      stopping = stopping_;
    }
    for (auto& function : batch) function(*controller_);
    if (stopping) {
      controller_->Flush();
      return;
    }
    controller_->Tick();
  }
}

void ControlLoop::RunBackground() {
  for (;;) {
    Work next;
    {
      MutexLock lock(&mutex_);
      while (work_.empty() && !stopping_) work_wake_.Wait(&mutex_);
      if (stopping_) return;
      next = std::move(work_.front());
      work_.pop_front();
    }
    next.work();
    MutexLock lock(&mutex_);
    if (stopping_) return;
    // Not by Post: a full queue would lose it, and its job wait for it for ever. There is no more
    // than one for each piece of work, and those come one by one.
    queue_.push_back([done = std::move(next.done)](Controller&) { done(); });
    wake_.NotifyOne();
  }
}

}  // namespace attune::jobs
