#include "worker/engine/kernels/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <exception>

// libgomp's entry point behind `#pragma omp parallel num_threads(threads)`.
extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags);
extern "C" int omp_get_thread_num();
extern "C" int omp_get_num_threads();

namespace attune::engine::kernels {
namespace {

struct Region {
  const std::function<void(int, int)>& body;
  std::exception_ptr error;  // the first member's that failed
  std::atomic_flag failed = ATOMIC_FLAG_INIT;
};

// An exception that left a thread of OpenMP's would end the process.
void RunMember(void* data) {
  Region& region = *static_cast<Region*>(data);
  try {
    region.body(omp_get_thread_num(), omp_get_num_threads());
  } catch (...) {
    if (!region.failed.test_and_set()) region.error = std::current_exception();
  }
}

}  // namespace

int Threads() {
  return at::get_num_threads();
}

void RunParallel(int threads, const std::function<void(int, int)>& body) {
  if (threads <= 1 || at::in_parallel_region()) return body(0, 1);
  Region region{.body = body};
  GOMP_parallel(&RunMember, &region, static_cast<unsigned>(threads), 0);
  if (region.error) std::rethrow_exception(region.error);
}

void ParallelRows(int64_t rows, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (rows <= 0) return;
  const int64_t parts =
      std::clamp<int64_t>(rows / std::max<int64_t>(grain, 1), 1, std::max(Threads(), 1));
  if (parts == 1) return body(0, rows);
  RunParallel(static_cast<int>(parts), [&](int member, int members) {
    body(rows * member / members, rows * (member + 1) / members);
  });
}

}  // namespace attune::engine::kernels
