#pragma once

// What every format's reader hands over.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune::datasets {

struct SourceRow {
  size_t file = 0;      // its index among the files of the import
  uint64_t number = 0;  // from 1: the line where it begins, in a Parquet file the row
  // One JSON object, of a JSONL file the line as it stands. Valid during the call.
  std::string_view json;
  // Why it is none, in words for its author; json is empty then.
  std::string_view problem;
};

// An error ends the import.
using RowHandler = std::function<Status(const SourceRow&)>;

// "longer than 8 MiB".
std::string TooLong(size_t row_bytes_max);

}  // namespace attune::datasets
