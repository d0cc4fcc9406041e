#pragma once

// Threads of torch's own OpenMP pool, so that our loops and ATen's never compete for cores. No
// torch here. (at::parallel_for would be serial in our build: it is a header that needs the OpenMP
// of torch's compiler.)

#include <cstdint>
#include <functional>

namespace attune::engine::kernels {

// body(member, members) on up to `threads` threads at once, the caller being one of them; returns
// when all are done. OpenMP may give fewer: members says how many there are. What a body throws
// comes out of here, once all have ended: those that wait for each other must not throw.
void RunParallel(int threads, const std::function<void(int, int)>& body);

// Splits [0, rows) in contiguous parts of at least `grain`, one for each of torch's threads. The
// parts depend on the number of threads, so body must not make results depend on them.
void ParallelRows(int64_t rows, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

// torch's intra-op thread count.
int Threads();

}  // namespace attune::engine::kernels
