#pragma once

// Products of float matrices (row by row in memory), as fast as a core multiplies and adds.

#include <cstddef>
#include <vector>

namespace attune::statistics {

// The rows of a matrix, laid out for products with them; the matrix itself is not kept.
class PackedRows {
 public:
  PackedRows(const float* rows, size_t count, size_t width, int threads);

  // c[i][j] = sum over k of a[i][k] rows[j][k], for a_rows rows of a; c's rows are c_stride apart.
  // May be called by several threads at once.
  void Multiply(const float* a, size_t a_rows, float* c, size_t c_stride) const;

  size_t count() const { return count_; }
  size_t width() const { return width_; }

 private:
  const size_t count_, width_;
  std::vector<float> panels_;
};

// c (a_rows x b_rows) = a times the transpose of b, both of the same width. The same bits whatever
// the number of threads.
void MultiplyTransposed(const float* a, size_t a_rows, const float* b, size_t b_rows, size_t width,
                        float* c, int threads);

}  // namespace attune::statistics
