#include "common/base/parallel_for.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "common/base/mutex.h"

namespace attune {

Status ParallelFor(size_t count, int threads, const std::function<Status(size_t)>& body) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  Mutex mutex;
  size_t failed_at = count;
  Status failure;
  auto work = [&] {
    while (!failed.load()) {
      size_t i = next.fetch_add(1);
      if (i >= count) return;
      Status status = body(i);
      if (status.ok()) continue;
      failed = true;
      MutexLock lock(&mutex);
      if (i < failed_at) {
        failed_at = i;
        failure = std::move(status);
      }
    }
  };
  std::vector<std::thread> helpers;
  size_t wanted = std::min(static_cast<size_t>(std::max(threads, 1)), count);
  for (size_t i = 1; i < wanted; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  return failure;
}

}  // namespace attune
