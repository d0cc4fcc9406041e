// Our matrix product against those inside libtorch, MKL's and oneDNN's, on the three products of a
// linear layer's training step; not a test.
//
// usage: gemm_bench [--threads 1] [--rounds 10]
//
// Prints GFLOP/s of the best round; the three take turns, so that what else runs on the machine
// slows all of them. With one thread it counts processor time.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string_view>
#include <vector>

#include "worker/engine/kernels/gemm.h"
#include "worker/engine/kernels/matmul.h"

namespace attune::engine {
namespace {

double Now(int threads) {
  timespec now{};
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Contest {
  const char* product;
  std::function<void()> ours, mkl, onednn;
};

void Compare(const Contest& contest, int64_t rows, int64_t in, int64_t out, int threads,
             int rounds) {
  const double flops = 2.0 * static_cast<double>(rows * in * out);
  const int repeats = std::max(1, static_cast<int>(2e9 / flops));
  const std::function<void()>* const sides[] = {&contest.ours, &contest.mkl, &contest.onednn};
  double best[3] = {1e30, 1e30, 1e30};
  for (int round = 0; round < rounds; ++round) {
    for (int side = 0; side < 3; ++side) {
      const double start = Now(threads);
      for (int i = 0; i < repeats; ++i) (*sides[side])();
      best[side] = std::min(best[side], (Now(threads) - start) / repeats);
    }
  }
  std::printf("| %s | %ld | %ld | %ld | %.0f | %.0f | %.0f | %.2f |\n", contest.product, rows, in,
              out, flops / best[0] / 1e9, flops / best[1] / 1e9, flops / best[2] / 1e9,
              best[2] / best[0]);
  std::fflush(stdout);
}

void CompareShape(int64_t rows, int64_t in, int64_t out, int threads, int rounds) {
  const at::Tensor x = at::randn({rows, in}), w = at::randn({out, in}), dy = at::randn({rows, out});
  const at::Tensor dnnl_x = x.to_mkldnn(), dnnl_dy = dy.to_mkldnn();
  at::Tensor y = at::empty({rows, out}), dx = at::empty({rows, in}), dw = at::empty({out, in});
  const std::vector<Contest> contests = {
      {"x W^T", [&] { kernels::MatMul(y, x, w.t()); }, [&] { at::mm_out(y, x, w.t()); },
       [&] { at::mkldnn_linear(dnnl_x, w, {}); }},
      {"dy W", [&] { kernels::MatMul(dx, dy, w); }, [&] { at::mm_out(dx, dy, w); },
       [&] { at::mkldnn_linear_backward_input(x.sizes(), dnnl_dy, w); }},
      {"dy^T x", [&] { kernels::MatMul(dw, dy.t(), x); }, [&] { at::mm_out(dw, dy.t(), x); },
       [&] { at::mkldnn_linear_backward_weights(dnnl_dy, dnnl_x, w, false); }}};
  for (const Contest& contest : contests) Compare(contest, rows, in, out, threads, rounds);
}

int Run(int argc, char** argv) {
  int threads = 1, rounds = 10;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string_view(argv[i]) == "--threads") threads = std::atoi(argv[i + 1]);
    if (std::string_view(argv[i]) == "--rounds") rounds = std::atoi(argv[i + 1]);
  }
  at::NoGradGuard no_grad;
  at::set_num_threads(threads);
  if (!kernels::GemmIsFast()) std::printf("our kernel is not used on this processor\n");
  std::printf("| product | rows | in | out | ours | MKL | oneDNN | ours / oneDNN |\n");
  std::printf("|---------|------|----|-----|------|-----|--------|---------------|\n");
  for (const int64_t rows : {512, 1024, 2048}) {
    CompareShape(rows, 576, 576, threads, rounds);
    CompareShape(rows, 576, 1536, threads, rounds);
    CompareShape(rows, 1536, 576, threads, rounds);
  }
  CompareShape(256, 576, 49152, threads, rounds);  // the loss has chunks of about so many rows
  return 0;
}

}  // namespace
}  // namespace attune::engine

int main(int argc, char** argv) {
  return attune::engine::Run(argc, argv);
}
