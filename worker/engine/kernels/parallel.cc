#include "worker/engine/kernels/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>

// libgomp's entry point behind `#pragma omp parallel num_threads(threads)`.
extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags);
extern "C" int omp_get_thread_num();
extern "C" int omp_get_num_threads();

namespace attune::engine::kernels {
namespace {

void RunMember(void* data) {
  const auto& body = *static_cast<const std::function<void(int, int)>*>(data);
  body(omp_get_thread_num(), omp_get_num_threads());
}

}  // namespace

int Threads() {
  return at::get_num_threads();
}

void RunParallel(int threads, const std::function<void(int, int)>& body) {
  if (threads <= 1 || at::in_parallel_region()) return body(0, 1);
  GOMP_parallel(&RunMember, const_cast<std::function<void(int, int)>*>(&body),
                static_cast<unsigned>(threads), 0);
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
