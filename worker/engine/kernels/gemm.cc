#include "worker/engine/kernels/gemm.h"

#include <algorithm>
#include <atomic>

#include "worker/engine/kernels/cpu_kernels.h"
#include "worker/engine/kernels/parallel.h"
#include "worker/engine/kernels/workspace.h"

namespace attune::engine::kernels {
namespace {

// Block sizes in elements: a block of A or B stays in the second or third level cache, a panel in
// the first.
constexpr int64_t kDepthMost = 320;
constexpr int64_t kRowsMost = 2048;
constexpr int64_t kColsMost = 2304;
constexpr int64_t kTaskRows = 128;
constexpr int64_t kTileMost = 64 * 64;

int64_t DivideUp(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The block length that cuts `total` in equal parts of at most `most`, a multiple of `unit`.
int64_t BlockLength(int64_t total, int64_t most, int64_t unit) {
  const int64_t parts = DivideUp(total, most);
  return DivideUp(DivideUp(total, parts), unit) * unit;
}

// Tasks of one phase, taken in turn; Finish waits for all members and opens the next phase.
class Phases {
 public:
  int64_t Next() { return next_.fetch_add(1, std::memory_order_relaxed); }

  void Finish(int members) {
    const int phase = phase_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members) {
      arrived_.store(0, std::memory_order_relaxed);
      next_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      if (members > 1) phase_.notify_all();
      return;
    }
    for (int spins = 0; spins < 1000; ++spins) {
      if (phase_.load(std::memory_order_acquire) != phase) return;
      __builtin_ia32_pause();
    }
    // The other member's core is probably taken by another process.
    phase_.wait(phase, std::memory_order_acquire);
  }

 private:
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> phase_{0};
};

struct Product {
  GemmOperand a, b;
  float* c;
  int64_t c_stride, m, n, k;
  bool accumulate;
  int64_t block_rows, block_cols, block_depth, task_rows;
  float *packed_a, *packed_b;
};

// One block of C: rows [row, row + rows), columns [col, col + cols), depth [from, from + depth).
struct Block {
  int64_t row, rows, col, cols, from, depth;
};

void PackBlock(const Product& p, const Block& block, bool with_b, Phases& phases) {
  const CpuKernels& cpu = Cpu();
  const int64_t a_panels = DivideUp(block.rows, cpu.tile_rows);
  const int64_t b_panels = with_b ? DivideUp(block.cols, cpu.tile_cols) : 0;
  for (int64_t task = phases.Next(); task < a_panels + b_panels; task = phases.Next()) {
    if (task < b_panels) {
      const int64_t col = task * cpu.tile_cols;
      cpu.pack(p.b.data + block.from * p.b.row_step + (block.col + col) * p.b.col_step,
               p.b.row_step, p.b.col_step, block.depth, cpu.tile_cols,
               std::min<int64_t>(cpu.tile_cols, block.cols - col), p.packed_b + col * block.depth);
    } else {
      const int64_t row = (task - b_panels) * cpu.tile_rows;
      cpu.pack(p.a.data + (block.row + row) * p.a.row_step + block.from * p.a.col_step,
               p.a.col_step, p.a.row_step, block.depth, cpu.tile_rows,
               std::min<int64_t>(cpu.tile_rows, block.rows - row), p.packed_a + row * block.depth);
    }
  }
}

// A tile at the edge of C goes through a whole one on the stack.
void MultiplyEdge(int64_t depth, const float* a, const float* b, float* c, int64_t stride,
                  int64_t rows, int64_t cols, bool accumulate) {
  const CpuKernels& cpu = Cpu();
  alignas(64) float tile[kTileMost];
  cpu.multiply(depth, a, b, tile, cpu.tile_cols, false);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      const float value = tile[i * cpu.tile_cols + j];
      c[i * stride + j] = accumulate ? c[i * stride + j] + value : value;
    }
  }
}

void MultiplyBlock(const Product& p, const Block& block, Phases& phases) {
  const CpuKernels& cpu = Cpu();
  const bool accumulate = p.accumulate || block.from > 0;
  const int64_t panels = DivideUp(block.cols, cpu.tile_cols);
  const int64_t tasks = panels * DivideUp(block.rows, p.task_rows);
  for (int64_t task = phases.Next(); task < tasks; task = phases.Next()) {
    const int64_t col = task % panels * cpu.tile_cols,
                  cols = std::min<int64_t>(cpu.tile_cols, block.cols - col);
    const int64_t first = task / panels * p.task_rows,
                  last = std::min(first + p.task_rows, block.rows);
    const float* b = p.packed_b + col * block.depth;
    for (int64_t row = first; row < last; row += cpu.tile_rows) {
      const float* a = p.packed_a + row * block.depth;
      float* c = p.c + (block.row + row) * p.c_stride + block.col + col;
      const int64_t rows = std::min<int64_t>(cpu.tile_rows, last - row);
      if (rows == cpu.tile_rows && cols == cpu.tile_cols) {
        cpu.multiply(block.depth, a, b, c, p.c_stride, accumulate);
      } else {
        MultiplyEdge(block.depth, a, b, c, p.c_stride, rows, cols, accumulate);
      }
    }
  }
}

void RunMember(const Product& p, int members, Phases& phases) {
  for (int64_t col = 0; col < p.n; col += p.block_cols) {
    for (int64_t from = 0; from < p.k; from += p.block_depth) {
      for (int64_t row = 0; row < p.m; row += p.block_rows) {
        const Block block{row,  std::min(p.block_rows, p.m - row),
                          col,  std::min(p.block_cols, p.n - col),
                          from, std::min(p.block_depth, p.k - from)};
        PackBlock(p, block, /*with_b=*/row == 0, phases);
        phases.Finish(members);
        MultiplyBlock(p, block, phases);
        phases.Finish(members);
      }
    }
  }
}

}  // namespace

bool GemmIsFast() {
  return Cpu().tile_cols == 48 && !UseAtenOnly();
}

void Gemm(const GemmOperand& a, const GemmOperand& b, float* c, int64_t c_stride, int64_t m,
          int64_t n, int64_t k, bool accumulate, int threads) {
  const CpuKernels& cpu = Cpu();
  Product p{a, b, c, c_stride, m, n, k, accumulate, 0, 0, 0, kTaskRows, nullptr, nullptr};
  p.block_rows = BlockLength(m, kRowsMost, cpu.tile_rows);
  p.block_cols = BlockLength(n, kColsMost, cpu.tile_cols);
  p.block_depth = BlockLength(k, kDepthMost, 8);
  // Enough tasks to keep every thread busy to the end.
  const int64_t panels = DivideUp(p.block_cols, cpu.tile_cols);
  while (p.task_rows > 4 * cpu.tile_rows &&
         panels * DivideUp(p.block_rows, p.task_rows) < 8 * threads) {
    p.task_rows /= 2;
  }
  thread_local Workspace workspace;
  p.packed_a = workspace.Get((p.block_rows + p.block_cols) * p.block_depth);
  p.packed_b = p.packed_a + p.block_rows * p.block_depth;
  Phases phases;
  RunParallel(threads, [&](int, int members) { RunMember(p, members, phases); });
}

}  // namespace attune::engine::kernels
