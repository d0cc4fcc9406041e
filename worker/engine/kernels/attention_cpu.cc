#include "worker/engine/kernels/attention_cpu.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "worker/engine/kernels/cpu_kernels.h"
#include "worker/engine/kernels/parallel.h"
#include "worker/engine/kernels/workspace.h"

namespace attune::engine::kernels {
namespace {

int64_t RoundUp(int64_t a, int64_t b) {
  return (a + b - 1) / b * b;
}

// Cuts one workspace in pieces; the first pass (base null) only counts.
class Pieces {
 public:
  explicit Pieces(float* base) : base_(base) {}
  float* Take(int64_t elements) {
    float* piece = base_ == nullptr ? nullptr : base_ + used_;
    used_ += RoundUp(elements, 16);
    return piece;
  }
  int64_t used() const { return used_; }

 private:
  float* base_;
  int64_t used_ = 0;
};

// One example's rows of one tensor for one head: vectors of dim, `stride` apart.
struct Rows {
  const float* data;
  int64_t stride;
};

// rows as the left operand whose rows they are: panels [dim][tile_rows].
void PackRows(const Rows& rows, int64_t length, int64_t dim, float* to) {
  const CpuKernels& cpu = Cpu();
  for (int64_t first = 0; first < length; first += cpu.tile_rows) {
    cpu.pack(rows.data + first * rows.stride, 1, rows.stride, dim, cpu.tile_rows,
             std::min<int64_t>(cpu.tile_rows, length - first), to + first * dim);
  }
}

// rows as the left operand whose columns they are: panels [length][tile_rows] over dim.
void PackColumns(const Rows& rows, int64_t length, int64_t dim, float* to) {
  const CpuKernels& cpu = Cpu();
  for (int64_t first = 0; first < dim; first += cpu.tile_rows) {
    cpu.pack(rows.data + first, rows.stride, 1, length, cpu.tile_rows,
             std::min<int64_t>(cpu.tile_rows, dim - first), to + first * length);
  }
}

// Up to tile_cols rows as the columns of the right operand: one panel [dim][tile_cols].
void PackBlock(const Rows& rows, int64_t first, int64_t count, int64_t dim, float* to) {
  const CpuKernels& cpu = Cpu();
  cpu.pack(rows.data + first * rows.stride, 1, rows.stride, dim, cpu.tile_cols, count, to);
}

// to [rows, tile_cols] = or += left panels of `rows` (rounded up), each [depth][tile_rows], times
// right.
void MultiplyPanels(int64_t rows, int64_t depth, const float* left, const float* right, float* to,
                    bool accumulate) {
  const CpuKernels& cpu = Cpu();
  for (int64_t row = 0; row < rows; row += cpu.tile_rows) {
    cpu.multiply(depth, left + row * depth, right, to + row * cpu.tile_cols, cpu.tile_cols,
                 accumulate);
  }
}

// One example and one key-value head with the query heads that share it.
struct Group {
  const float* qkv;  // the example's first row
  int64_t first_row, length, rows_total;
  int64_t kv_head, heads;  // heads: of this group
  AttentionShape shape;
  float scale;

  int64_t stride() const { return shape.row_size(); }
  int64_t head(int64_t i) const { return kv_head * heads + i; }
  Rows Query(int64_t i) const { return {qkv + head(i) * shape.dim, stride()}; }
  Rows Key() const { return {qkv + (shape.heads + kv_head) * shape.dim, stride()}; }
  Rows Value() const {
    return {qkv + (shape.heads + shape.kv_heads + kv_head) * shape.dim, stride()};
  }
};

// The keys that some query of the block [first, first + count) may see: [begin, end), begin where
// both the packed panels of keys and values and the blocks of their gradients can be cut.
struct Keys {
  int64_t begin, end;
  int64_t diagonal;  // column j sees rows up to diagonal + j, from `begin` on
};

Keys KeysOf(const Group& group, int64_t first, int64_t count) {
  const AttentionShape& shape = group.shape;
  if (!shape.causal) return {0, group.length, group.length};
  int64_t begin = 0;
  if (shape.Windowed(group.length)) {
    const int64_t cut = std::lcm(Cpu().tile_rows, Cpu().tile_cols);
    begin = std::max<int64_t>(0, first - shape.window + 1) / cut * cut;
  }
  return {begin, first + count, first - begin};
}

// Hides from each query of the block what lies before its window. softmax_columns makes such scores
// probabilities of 0.
void HideBeforeWindow(const Group& group, int64_t first, const Keys& keys, float* scores) {
  if (!group.shape.Windowed(group.length)) return;
  constexpr float kLowest = -3.0e38f;
  const int64_t cols = Cpu().tile_cols;
  for (int64_t j = 0; j < cols; ++j) {
    const int64_t sees_from = std::min(first + j - group.shape.window + 1, keys.end);
    for (int64_t row = keys.begin; row < sees_from; ++row) {
      scores[(row - keys.begin) * cols + j] = kLowest;
    }
  }
}

// factors: null, or of each score the derivative of its cap.
void Cap(const Group& group, const Keys& keys, float* scores, float* factors) {
  if (group.shape.softcap == 0) return;
  Cpu().softcap(scores, factors, (keys.end - keys.begin) * Cpu().tile_cols, group.scale,
                static_cast<float>(group.shape.softcap));
}

struct ForwardScratch {
  float *keys, *values, *query, *scores, *out, *sums, *logsumexp;

  ForwardScratch(Pieces& pieces, const AttentionShape& shape, int64_t length) {
    const int64_t dim = shape.dim;
    const CpuKernels& cpu = Cpu();
    const int64_t rows = RoundUp(length, cpu.tile_rows), deep = RoundUp(dim, cpu.tile_rows);
    keys = pieces.Take(rows * dim);
    values = pieces.Take(length * deep);
    query = pieces.Take(dim * cpu.tile_cols);
    scores = pieces.Take(rows * cpu.tile_cols);
    out = pieces.Take(deep * cpu.tile_cols);
    sums = pieces.Take(cpu.tile_cols);
    logsumexp = pieces.Take(cpu.tile_cols);
  }
};

void ForwardGroup(const Group& group, const ForwardScratch& scratch, float* out, float* logsumexp) {
  const CpuKernels& cpu = Cpu();
  const int64_t length = group.length, dim = group.shape.dim, out_stride = group.shape.heads * dim;
  PackRows(group.Key(), length, dim, scratch.keys);
  PackColumns(group.Value(), length, dim, scratch.values);
  for (int64_t i = 0; i < group.heads; ++i) {
    for (int64_t first = 0; first < length; first += cpu.tile_cols) {
      const int64_t count = std::min<int64_t>(cpu.tile_cols, length - first);
      const Keys keys = KeysOf(group, first, count);
      const int64_t visible = keys.end - keys.begin;
      PackBlock(group.Query(i), first, count, dim, scratch.query);
      MultiplyPanels(visible, dim, scratch.keys + keys.begin * dim, scratch.query, scratch.scores,
                     false);
      Cap(group, keys, scratch.scores, nullptr);
      HideBeforeWindow(group, first, keys, scratch.scores);
      cpu.softmax_columns(scratch.scores, visible, keys.diagonal, group.scale, scratch.sums,
                          scratch.logsumexp);
      std::memcpy(logsumexp + group.head(i) * group.rows_total + group.first_row + first,
                  scratch.logsumexp, static_cast<size_t>(count) * sizeof(float));
      // Only `visible` of the panel's `length` rows take part.
      for (int64_t d = 0; d < dim; d += cpu.tile_rows) {
        cpu.multiply(visible, scratch.values + d * length + keys.begin * cpu.tile_rows,
                     scratch.scores, scratch.out + d * cpu.tile_cols, cpu.tile_cols, false);
      }
      cpu.divide_columns(scratch.out, dim, scratch.sums);
      cpu.transpose(scratch.out, cpu.tile_cols, dim, count,
                    out + (group.first_row + first) * out_stride + group.head(i) * dim, out_stride);
    }
  }
}

struct BackwardScratch {
  float *key_rows, *value_rows, *key_columns, *query, *dout, *query_columns, *dout_columns;
  float *scores, *dscores, *turned, *block, *dkeys, *dvalues, *logsumexp, *delta, *caps;

  BackwardScratch(Pieces& pieces, const AttentionShape& shape, int64_t length) {
    const int64_t dim = shape.dim;
    const CpuKernels& cpu = Cpu();
    const int64_t rows = RoundUp(length, cpu.tile_rows), deep = RoundUp(dim, cpu.tile_rows);
    for (float** piece : {&key_rows, &value_rows}) *piece = pieces.Take(rows * dim);
    key_columns = pieces.Take(length * deep);
    for (float** piece : {&query, &dout}) *piece = pieces.Take(dim * cpu.tile_cols);
    for (float** piece : {&query_columns, &dout_columns, &block})
      *piece = pieces.Take(deep * cpu.tile_cols);
    for (float** piece : {&scores, &dscores}) *piece = pieces.Take(rows * cpu.tile_cols);
    caps = pieces.Take(shape.softcap > 0 ? rows * cpu.tile_cols : 0);
    turned = pieces.Take(int64_t{cpu.tile_cols} * cpu.tile_cols);
    for (float** piece : {&dkeys, &dvalues})
      *piece = pieces.Take(deep * RoundUp(length, cpu.tile_cols));
    for (float** piece : {&logsumexp, &delta}) *piece = pieces.Take(cpu.tile_cols);
  }
};

// to [dim, tile_cols] of each block of keys += left (columns [count][tile_rows] over dim) times the
// transpose of matrix [keys, tile_cols].
void AccumulateByKey(const float* matrix, const Keys& keys, int64_t count, const float* left,
                     int64_t dim, float* turned, float* to) {
  const CpuKernels& cpu = Cpu();
  const int64_t deep = RoundUp(dim, cpu.tile_rows);
  for (int64_t key = keys.begin; key < keys.end; key += cpu.tile_cols) {
    cpu.pack(matrix + (key - keys.begin) * cpu.tile_cols, 1, cpu.tile_cols, count, cpu.tile_cols,
             std::min<int64_t>(cpu.tile_cols, keys.end - key), turned);
    MultiplyPanels(dim, count, left, turned, to + key * deep, true);
  }
}

struct BackwardInput {
  const float *dout, *out, *logsumexp;
};

void BackwardBlock(const Group& group, int64_t i, int64_t first, const BackwardInput& input,
                   const BackwardScratch& s, float* dqkv) {
  const CpuKernels& cpu = Cpu();
  const int64_t length = group.length, dim = group.shape.dim, out_stride = group.shape.heads * dim;
  const int64_t count = std::min<int64_t>(cpu.tile_cols, length - first);
  const Keys keys = KeysOf(group, first, count);
  const int64_t visible = keys.end - keys.begin;
  const int64_t place = (group.first_row + first) * out_stride + group.head(i) * dim;
  const Rows query = group.Query(i), dout{input.dout + place, out_stride};
  const float* logsumexp =
      input.logsumexp + group.head(i) * group.rows_total + group.first_row + first;
  for (int64_t j = 0; j < cpu.tile_cols; ++j) {
    // A column without a query has no probability.
    s.logsumexp[j] = j < count ? logsumexp[j] : 1e30f;
    s.delta[j] = j < count
                     ? cpu.dot(dout.data + j * out_stride, input.out + place + j * out_stride, dim)
                     : 0;
  }
  PackBlock(query, first, count, dim, s.query);
  PackBlock(dout, 0, count, dim, s.dout);
  MultiplyPanels(visible, dim, s.key_rows + keys.begin * dim, s.query, s.scores, false);
  MultiplyPanels(visible, dim, s.value_rows + keys.begin * dim, s.dout, s.dscores, false);
  Cap(group, keys, s.scores, s.caps);
  HideBeforeWindow(group, first, keys, s.scores);
  cpu.softmax_columns_backward(s.scores, s.dscores, visible, keys.diagonal, group.scale,
                               s.logsumexp, s.delta);
  if (group.shape.softcap > 0) cpu.scale_by(s.caps, s.dscores, visible * cpu.tile_cols);
  for (int64_t d = 0; d < dim; d += cpu.tile_rows) {
    cpu.multiply(visible, s.key_columns + d * length + keys.begin * cpu.tile_rows, s.dscores,
                 s.block + d * cpu.tile_cols, cpu.tile_cols, false);
  }
  cpu.transpose(s.block, cpu.tile_cols, dim, count,
                dqkv + first * group.stride() + group.head(i) * dim, group.stride());
  PackColumns({query.data + first * query.stride, query.stride}, count, dim, s.query_columns);
  PackColumns(dout, count, dim, s.dout_columns);
  AccumulateByKey(s.scores, keys, count, s.dout_columns, dim, s.turned, s.dvalues);
  AccumulateByKey(s.dscores, keys, count, s.query_columns, dim, s.turned, s.dkeys);
}

// dqkv: the example's first row.
void BackwardGroup(const Group& group, const BackwardInput& input, const BackwardScratch& s,
                   float* dqkv) {
  const CpuKernels& cpu = Cpu();
  const int64_t length = group.length, dim = group.shape.dim, deep = RoundUp(dim, cpu.tile_rows);
  PackRows(group.Key(), length, dim, s.key_rows);
  PackRows(group.Value(), length, dim, s.value_rows);
  PackColumns(group.Key(), length, dim, s.key_columns);
  const int64_t elements = deep * RoundUp(length, cpu.tile_cols);
  std::fill_n(s.dkeys, elements, 0.0f);
  std::fill_n(s.dvalues, elements, 0.0f);
  for (int64_t i = 0; i < group.heads; ++i) {
    for (int64_t first = 0; first < length; first += cpu.tile_cols) {
      BackwardBlock(group, i, first, input, s, dqkv);
    }
  }
  for (int64_t key = 0; key < length; key += cpu.tile_cols) {
    const int64_t count = std::min<int64_t>(cpu.tile_cols, length - key);
    float* row = dqkv + key * group.stride() + (group.shape.heads + group.kv_head) * dim;
    cpu.transpose(s.dkeys + key * deep, cpu.tile_cols, dim, count, row, group.stride());
    cpu.transpose(s.dvalues + key * deep, cpu.tile_cols, dim, count,
                  row + group.shape.kv_heads * dim, group.stride());
  }
}

// body(group, workspace) for every example and key-value head, the longest examples first.
void ForGroups(const float* qkv, const std::vector<int64_t>& offsets, const AttentionShape& shape,
               const std::function<void(const Group&, Workspace&)>& body) {
  std::vector<std::pair<int64_t, int64_t>> examples;  // (first row, length)
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    if (offsets[e + 1] > offsets[e]) examples.emplace_back(offsets[e], offsets[e + 1] - offsets[e]);
  }
  std::ranges::stable_sort(examples, std::greater<>(),
                           [](const auto& example) { return example.second; });
  const auto tasks = static_cast<int64_t>(examples.size()) * shape.kv_heads;
  std::atomic<int64_t> next{0};
  const auto threads = static_cast<int>(std::min<int64_t>(tasks, Threads()));
  RunParallel(threads, [&](int, int) {
    thread_local Workspace workspace;
    for (int64_t task = next.fetch_add(1); task < tasks; task = next.fetch_add(1)) {
      const auto [first, length] = examples[static_cast<size_t>(task / shape.kv_heads)];
      const Group group{qkv + first * shape.row_size(),
                        first,
                        length,
                        offsets.back(),
                        task % shape.kv_heads,
                        shape.heads / shape.kv_heads,
                        shape,
                        static_cast<float>(shape.Scale())};
      body(group, workspace);
    }
  });
}

template <typename Scratch>
Scratch MakeScratch(Workspace& workspace, const AttentionShape& shape, int64_t length) {
  Pieces count(nullptr);
  Scratch(count, shape, length);
  Pieces pieces(workspace.Get(count.used()));
  return Scratch(pieces, shape, length);
}

}  // namespace

void AttentionCpu(const float* qkv, const std::vector<int64_t>& offsets,
                  const AttentionShape& shape, float* out, float* logsumexp) {
  ForGroups(qkv, offsets, shape, [&](const Group& group, Workspace& workspace) {
    ForwardGroup(group, MakeScratch<ForwardScratch>(workspace, shape, group.length), out,
                 logsumexp);
  });
}

void AttentionCpuBackward(const float* dout, const float* qkv, const float* out,
                          const float* logsumexp, const std::vector<int64_t>& offsets,
                          const AttentionShape& shape, float* dqkv) {
  ForGroups(qkv, offsets, shape, [&](const Group& group, Workspace& workspace) {
    BackwardGroup(group, {dout, out, logsumexp},
                  MakeScratch<BackwardScratch>(workspace, shape, group.length),
                  dqkv + group.first_row * shape.row_size());
  });
}

}  // namespace attune::engine::kernels
