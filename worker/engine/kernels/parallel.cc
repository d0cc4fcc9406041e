#include "worker/engine/kernels/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>

// libgomp's entry point behind `#pragma omp parallel num_threads(threads)`.
extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags);
extern "C" int omp_get_thread_num();
extern "C" int omp_get_num_threads();

namespace attune::engine::kernels {
namespace {

struct Team {
  int threads;
  const std::function<void(int)>* body;
};

void RunMember(void* data) {
  const Team& team = *static_cast<Team*>(data);
  // libgomp may give fewer threads than asked for.
  for (int i = omp_get_thread_num(); i < team.threads; i += omp_get_num_threads()) (*team.body)(i);
}

}  // namespace

int Threads() {
  return at::get_num_threads();
}

void RunParallel(int threads, const std::function<void(int)>& body) {
  if (threads <= 1 || at::in_parallel_region()) {
    for (int i = 0; i < threads; ++i) body(i);
    return;
  }
  Team team{threads, &body};
  GOMP_parallel(&RunMember, &team, static_cast<unsigned>(threads), 0);
}

void ParallelRows(int64_t rows, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (rows <= 0) return;
  const int64_t parts =
      std::clamp<int64_t>(rows / std::max<int64_t>(grain, 1), 1, std::max(Threads(), 1));
  if (parts == 1) return body(0, rows);
  RunParallel(static_cast<int>(parts),
              [&](int part) { body(rows * part / parts, rows * (part + 1) / parts); });
}

}  // namespace attune::engine::kernels
