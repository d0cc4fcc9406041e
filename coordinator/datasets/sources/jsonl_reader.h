#pragma once

// The rows of a JSONL file: its lines, but for blank ones.

#include <cstddef>

#include "coordinator/datasets/sources/byte_sink.h"
#include "coordinator/datasets/sources/line_reader.h"
#include "coordinator/datasets/sources/source_row.h"

namespace attune::datasets {

class JsonlReader final : public ByteSink {
 public:
  // A longer line is a row with a problem.
  JsonlReader(size_t row_bytes_max, RowHandler handler);

  Status Append(std::string_view bytes) override { return lines_.Append(bytes); }
  Status End() override { return lines_.EndFile(); }

 private:
  Status TakeLine(const Line& line);

  const size_t row_bytes_max_;
  const RowHandler handler_;
  LineReader lines_;
};

}  // namespace attune::datasets
