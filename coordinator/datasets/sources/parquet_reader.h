#pragma once

// The rows of a Parquet file as JSON objects. Its index stands at its end, so the file is set aside
// until it is whole, then read row group by row group in small batches. What is outside of the
// limits below, or damaged, is refused. The library keeps what it decodes in a pool with a limit.

#include <cstdint>
#include <filesystem>
#include <optional>

#include "common/base/cancel_check.h"
#include "common/base/scratch_file.h"
#include "coordinator/datasets/sources/byte_sink.h"
#include "coordinator/datasets/sources/source_row.h"

namespace attune::datasets {

inline constexpr int64_t kParquetMemoryMax = 512 << 20;  // of columns while they are decoded
inline constexpr int64_t kParquetFooterMax = 8 << 20;    // in memory it is a hundred times as much
inline constexpr int kParquetColumnsMax = 4096;
// Levels of the schema, of which a list has two: more than those of any row that is taken.
inline constexpr int kParquetNestingMax = 200;

class ParquetReader final : public ByteSink {
 public:
  // cancelled: asked between batches.
  ParquetReader(std::filesystem::path folder, size_t row_bytes_max, CancelCheck cancelled,
                RowHandler handler);

  Status Append(std::string_view bytes) override;
  // Hands over the rows. kInvalidArgument for what is no whole Parquet file.
  Status End() override;

 private:
  const std::filesystem::path folder_;
  const size_t row_bytes_max_;
  const CancelCheck cancelled_;
  const RowHandler handler_;
  std::optional<ScratchFile> file_;  // once there is a byte
};

}  // namespace attune::datasets
