#pragma once

// A source that hangs until a test releases it.

#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "coordinator/objects/object_source.h"

namespace attune::objects {

// Shared by a test and what hangs.
class Hang {
 public:
  // Passes steps, or hangs until Release.
  void Step() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    ++calls_;
    while (!released_ && calls_ > passes_) changed_.Wait(&mutex_);
  }
  void Release() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    released_ = true;
    changed_.NotifyAll();
  }
  void HangAfter(int steps) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    passes_ = steps;
  }
  int calls() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    return calls_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool released_ GUARDED_BY(mutex_) = false;
  int calls_ GUARDED_BY(mutex_) = 0, passes_ GUARDED_BY(mutex_) = 0;
};

// One file, "a.jsonl"; a step for a list, and for each byte.
class HangingSource final : public ObjectSource {
 public:
  static constexpr char kContent[] = "{\"text\": \"a\"}\n";

  explicit HangingSource(std::shared_ptr<Hang> hang) : hang_(std::move(hang)) {}

  Result<std::vector<Object>> List(std::string_view) override {
    hang_->Step();
    return std::vector<Object>{{"a.jsonl", sizeof kContent - 1, TimePoint()}};
  }
  Status Read(const std::string&, const std::function<Status(std::string_view)>& take) override {
    for (const char& c : std::string_view(kContent)) {
      hang_->Step();
      ATTUNE_RETURN_IF_ERROR(take({&c, 1}));
    }
    return Status();
  }

 private:
  const std::shared_ptr<Hang> hang_;
};

}  // namespace attune::objects
