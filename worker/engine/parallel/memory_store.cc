#include <map>

#include "common/base/mutex.h"
#include "worker/engine/engine.h"

namespace attune::engine {
namespace {

class MemoryStore : public KeyValueStore {
 public:
  Status Set(const std::string& key, const std::string& value) override {
    MutexLock lock(&mutex_);
    values_[key] = value;
    changed_.NotifyAll();
    return Status();
  }

  Result<std::string> Get(const std::string& key, std::chrono::milliseconds timeout) override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    MutexLock lock(&mutex_);
    while (true) {
      auto found = values_.find(key);
      if (found != values_.end()) return found->second;
      if (!changed_.WaitUntil(&mutex_, deadline) && !values_.contains(key)) {
        return DeadlineExceeded("no rank has set '" + key + "' within " +
                                std::to_string(timeout.count()) + " ms");
      }
    }
  }

  Result<std::string> CompareAndSet(const std::string& key, const std::string& expected,
                                    const std::string& desired) override {
    MutexLock lock(&mutex_);
    auto found = values_.find(key);
    if (found == values_.end()) {
      if (!expected.empty()) return expected;
      values_[key] = desired;
      changed_.NotifyAll();
      return desired;
    }
    if (found->second == expected) {
      found->second = desired;
      changed_.NotifyAll();
    }
    return found->second;
  }

  Result<int64_t> Add(const std::string& key, int64_t amount) override {
    MutexLock lock(&mutex_);
    std::string& value = values_[key];
    int64_t sum = amount;
    if (!value.empty()) {
      char* end = nullptr;
      sum += std::strtoll(value.c_str(), &end, 10);
      if (*end != '\0') return FailedPrecondition("'" + key + "' does not hold a number");
    }
    value = std::to_string(sum);
    changed_.NotifyAll();
    return sum;
  }

  Result<bool> Check(const std::vector<std::string>& keys) override {
    MutexLock lock(&mutex_);
    for (const std::string& key : keys) {
      if (!values_.contains(key)) return false;
    }
    return true;
  }

  Result<bool> Delete(const std::string& key) override {
    MutexLock lock(&mutex_);
    return values_.erase(key) > 0;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, std::string> values_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<KeyValueStore> NewMemoryStore() {
  return std::make_unique<MemoryStore>();
}

}  // namespace attune::engine
