#include "common/statistics/matrix.h"

#include <algorithm>
#include <array>

#include "common/base/parallel_for.h"
#include "common/base/status.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace attune::statistics {
namespace {

// A panel holds kColumns rows of b for kDepth of their columns: it stays in the first level cache
// while rows of a pass by, kRows at a time, whose sums stay in registers.
constexpr size_t kColumns = 16;
constexpr size_t kRows = 6;
constexpr size_t kDepth = 384;
constexpr size_t kTaskRows = 96;

using Tile = void (*)(const float* a, size_t a_stride, const float* panel, size_t depth, float* c,
                      size_t c_stride, bool accumulate);

template <size_t R>
void PortableTile(const float* a, size_t a_stride, const float* panel, size_t depth, float* c,
                  size_t c_stride, bool accumulate) {
  float sums[R][kColumns] = {};
  for (size_t k = 0; k < depth; ++k) {
    for (size_t r = 0; r < R; ++r) {
      for (size_t j = 0; j < kColumns; ++j) {
        sums[r][j] += a[r * a_stride + k] * panel[k * kColumns + j];
      }
    }
  }
  for (size_t r = 0; r < R; ++r) {
    for (size_t j = 0; j < kColumns; ++j) {
      float& out = c[r * c_stride + j];
      out = accumulate ? out + sums[r][j] : sums[r][j];
    }
  }
}

#if defined(__x86_64__)
template <size_t R>
__attribute__((target("avx2,fma"))) void Avx2Tile(const float* a, size_t a_stride,
                                                  const float* panel, size_t depth, float* c,
                                                  size_t c_stride, bool accumulate) {
  __m256 low[R], high[R];
#pragma clang loop unroll(full)
  for (size_t r = 0; r < R; ++r) low[r] = high[r] = _mm256_setzero_ps();
  for (size_t k = 0; k < depth; ++k) {
    const __m256 b_low = _mm256_loadu_ps(panel + k * kColumns);
    const __m256 b_high = _mm256_loadu_ps(panel + k * kColumns + 8);
#pragma clang loop unroll(full)
    for (size_t r = 0; r < R; ++r) {
      const __m256 value = _mm256_broadcast_ss(a + r * a_stride + k);
      low[r] = _mm256_fmadd_ps(value, b_low, low[r]);
      high[r] = _mm256_fmadd_ps(value, b_high, high[r]);
    }
  }
#pragma clang loop unroll(full)
  for (size_t r = 0; r < R; ++r) {
    float* out = c + r * c_stride;
    if (accumulate) {
      low[r] = _mm256_add_ps(low[r], _mm256_loadu_ps(out));
      high[r] = _mm256_add_ps(high[r], _mm256_loadu_ps(out + 8));
    }
    _mm256_storeu_ps(out, low[r]);
    _mm256_storeu_ps(out + 8, high[r]);
  }
}
#endif

// By the number of rows, from 1.
std::array<Tile, kRows> ChooseTiles() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return {Avx2Tile<1>, Avx2Tile<2>, Avx2Tile<3>, Avx2Tile<4>, Avx2Tile<5>, Avx2Tile<6>};
  }
#endif
  return {PortableTile<1>, PortableTile<2>, PortableTile<3>,
          PortableTile<4>, PortableTile<5>, PortableTile<6>};
}

Tile TileOf(size_t rows) {
  static const std::array<Tile, kRows> tiles = ChooseTiles();
  return tiles[rows - 1];
}

size_t Panels(size_t count) {
  return (count + kColumns - 1) / kColumns;
}

}  // namespace

PackedRows::PackedRows(const float* rows, size_t count, size_t width, int threads)
    : count_(count), width_(width), panels_(Panels(count) * kColumns * width) {
  const Status packed = ParallelFor(Panels(count), threads, [&](size_t panel) {
    for (size_t from = 0; from < width; from += kDepth) {
      const size_t depth = std::min(kDepth, width - from);
      float* out = panels_.data() + from * Panels(count) * kColumns + panel * kColumns * depth;
      for (size_t j = 0; j < kColumns && panel * kColumns + j < count; ++j) {
        const float* row = rows + (panel * kColumns + j) * width + from;
        for (size_t k = 0; k < depth; ++k) out[k * kColumns + j] = row[k];
      }
    }
    return Status();
  });
  ATTUNE_CHECK(packed.ok());
}

void PackedRows::Multiply(const float* a, size_t a_rows, float* c, size_t c_stride) const {
  float edge[kRows * kColumns];
  for (size_t from = 0; from < width_; from += kDepth) {
    const size_t depth = std::min(kDepth, width_ - from);
    const float* panel = panels_.data() + from * Panels(count_) * kColumns;
    for (size_t column = 0; column < count_; column += kColumns, panel += kColumns * depth) {
      const size_t columns = std::min(kColumns, count_ - column);
      for (size_t row = 0; row < a_rows; row += kRows) {
        const size_t rows = std::min(kRows, a_rows - row);
        float* out = c + row * c_stride + column;
        const float* left = a + row * width_ + from;
        if (columns == kColumns) {
          TileOf(rows)(left, width_, panel, depth, out, c_stride, from > 0);
          continue;
        }
        TileOf(rows)(left, width_, panel, depth, edge, kColumns, false);
        for (size_t r = 0; r < rows; ++r) {
          for (size_t j = 0; j < columns; ++j) {
            float& value = out[r * c_stride + j];
            value = from > 0 ? value + edge[r * kColumns + j] : edge[r * kColumns + j];
          }
        }
      }
    }
  }
}

void MultiplyTransposed(const float* a, size_t a_rows, const float* b, size_t b_rows, size_t width,
                        float* c, int threads) {
  const PackedRows packed(b, b_rows, width, threads);
  const Status multiplied =
      ParallelFor((a_rows + kTaskRows - 1) / kTaskRows, threads, [&](size_t task) {
        const size_t row = task * kTaskRows;
        packed.Multiply(a + row * width, std::min(kTaskRows, a_rows - row), c + row * b_rows,
                        b_rows);
        return Status();
      });
  ATTUNE_CHECK(multiplied.ok());
}

}  // namespace attune::statistics
