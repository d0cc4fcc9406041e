#pragma once

// A mutex that clang's thread-safety analysis understands; every build checks it.

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define ATTUNE_TSA(x) __attribute__((x))
#else
#define ATTUNE_TSA(x)
#endif

// Abseil, which gRPC includes, has macros of the same names and meaning.
#undef GUARDED_BY
#undef PT_GUARDED_BY
#undef REQUIRES
#undef EXCLUDES
#undef NO_THREAD_SAFETY_ANALYSIS
#define GUARDED_BY(x) ATTUNE_TSA(guarded_by(x))
#define PT_GUARDED_BY(x) ATTUNE_TSA(pt_guarded_by(x))
#define REQUIRES(...) ATTUNE_TSA(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) ATTUNE_TSA(locks_excluded(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS ATTUNE_TSA(no_thread_safety_analysis)

namespace attune {

class ATTUNE_TSA(capability("mutex")) Mutex {
 public:
  void Lock() ATTUNE_TSA(acquire_capability()) { mutex_.lock(); }
  void Unlock() ATTUNE_TSA(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class ATTUNE_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ATTUNE_TSA(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ATTUNE_TSA(release_capability()) { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

class CondVar {
 public:
  void Wait(Mutex* mutex) REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False when the deadline passed first.
  bool WaitUntil(Mutex* mutex, std::chrono::steady_clock::time_point deadline) REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    bool in_time = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace attune
