#include "coordinator/rendezvous/key_value_store.h"

#include <charconv>
#include <utility>

namespace attune::rendezvous {

void KeyValueStore::Call(Calls& calls) {
  for (auto& [done, result] : calls) done(std::move(result));
}

void KeyValueStore::OpenRun(const std::string& run) {
  MutexLock lock(&mutex_);
  runs_[run];
}

void KeyValueStore::CloseRun(const std::string& run) {
  Calls calls;
  {
    MutexLock lock(&mutex_);
    auto found = runs_.find(run);
    if (found == runs_.end()) return;
    for (auto& [key, waiter] : found->second.waiters) {
      calls.emplace_back(std::move(waiter.done), Cancelled("run " + run + " has ended"));
    }
    runs_.erase(found);
  }
  Call(calls);
}

Result<KeyValueStore::Run*> KeyValueStore::Find(const std::string& run) {
  auto found = runs_.find(run);
  if (found == runs_.end()) return FailedPrecondition("run " + run + " is not current");
  return &found->second;
}

Status KeyValueStore::Put(Run& run, const std::string& key, const std::string& value,
                          Calls* calls) {
  if (key.empty() || key.size() > limits_.key_bytes_max) {
    return InvalidArgument("a key has 1 to " + std::to_string(limits_.key_bytes_max) + " bytes");
  }
  if (value.size() > limits_.value_bytes_max) {
    return ResourceExhausted("the value of '" + key + "' is larger than " +
                             std::to_string(limits_.value_bytes_max) + " bytes");
  }
  auto found = run.values.find(key);
  size_t before = found == run.values.end() ? 0 : key.size() + found->second.size();
  size_t bytes = run.bytes - before + key.size() + value.size();
  if (bytes > limits_.run_bytes_max ||
      (found == run.values.end() && run.values.size() >= limits_.keys_max)) {
    return ResourceExhausted("the run's key-value store is full");
  }
  run.values[key] = value;
  run.bytes = bytes;
  auto [first, last] = run.waiters.equal_range(key);
  for (auto waiter = first; waiter != last; ++waiter) {
    calls->emplace_back(std::move(waiter->second.done), value);
  }
  run.waiters.erase(first, last);
  return Status();
}

Status KeyValueStore::Set(const std::string& run, const std::string& key,
                          const std::string& value) {
  Calls calls;
  {
    MutexLock lock(&mutex_);
    ATTUNE_ASSIGN_OR_RETURN(Run * space, Find(run));
    ATTUNE_RETURN_IF_ERROR(Put(*space, key, value, &calls));
  }
  Call(calls);
  return Status();
}

Result<std::string> KeyValueStore::CompareAndSet(const std::string& run, const std::string& key,
                                                 const std::string& expected,
                                                 const std::string& desired) {
  Calls calls;
  {
    MutexLock lock(&mutex_);
    ATTUNE_ASSIGN_OR_RETURN(Run * space, Find(run));
    auto found = space->values.find(key);
    if (found == space->values.end() && !expected.empty()) return expected;
    if (found != space->values.end() && found->second != expected) return found->second;
    ATTUNE_RETURN_IF_ERROR(Put(*space, key, desired, &calls));
  }
  Call(calls);
  return desired;
}

void KeyValueStore::Get(const std::string& run, const std::string& key,
                        std::chrono::milliseconds wait, GetDone done) {
  Result<std::string> result = DeadlineExceeded("key '" + key + "' was not set in time");
  {
    MutexLock lock(&mutex_);
    auto space = Find(run);
    if (!space.ok()) {
      result = space.status();
    } else if (auto found = (*space)->values.find(key); found != (*space)->values.end()) {
      result = found->second;
    } else if ((*space)->waiters.size() >= limits_.waiters_max) {
      result = ResourceExhausted("too many waits in run " + run);
    } else if (wait.count() > 0) {
      (*space)->waiters.emplace(key, Waiter{clock_->Monotonic() + wait, std::move(done)});
      return;
    }
  }
  done(std::move(result));
}

Result<int64_t> KeyValueStore::Add(const std::string& run, const std::string& key, int64_t amount) {
  Calls calls;
  int64_t sum = 0;
  {
    MutexLock lock(&mutex_);
    ATTUNE_ASSIGN_OR_RETURN(Run * space, Find(run));
    auto found = space->values.find(key);
    if (found != space->values.end()) {
      const std::string& text = found->second;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sum);
      if (error != std::errc() || end != text.data() + text.size()) {
        return InvalidArgument("the value of '" + key + "' is not a number");
      }
    }
    if (__builtin_add_overflow(sum, amount, &sum)) {
      return InvalidArgument("the sum in '" + key + "' overflows");
    }
    ATTUNE_RETURN_IF_ERROR(Put(*space, key, std::to_string(sum), &calls));
  }
  Call(calls);
  return sum;
}

Result<bool> KeyValueStore::Check(const std::string& run, const std::vector<std::string>& keys) {
  MutexLock lock(&mutex_);
  ATTUNE_ASSIGN_OR_RETURN(Run * space, Find(run));
  for (const std::string& key : keys) {
    if (!space->values.contains(key)) return false;
  }
  return true;
}

Result<bool> KeyValueStore::Delete(const std::string& run, const std::string& key) {
  MutexLock lock(&mutex_);
  ATTUNE_ASSIGN_OR_RETURN(Run * space, Find(run));
  auto found = space->values.find(key);
  if (found == space->values.end()) return false;
  space->bytes -= key.size() + found->second.size();
  space->values.erase(found);
  return true;
}

void KeyValueStore::ExpireWaits() {
  Calls calls;
  {
    MutexLock lock(&mutex_);
    auto now = clock_->Monotonic();
    for (auto& [name, run] : runs_) {
      for (auto waiter = run.waiters.begin(); waiter != run.waiters.end();) {
        if (waiter->second.deadline > now) {
          ++waiter;
          continue;
        }
        calls.emplace_back(std::move(waiter->second.done),
                           DeadlineExceeded("key '" + waiter->first + "' was not set in time"));
        waiter = run.waiters.erase(waiter);
      }
    }
  }
  Call(calls);
}

}  // namespace attune::rendezvous
