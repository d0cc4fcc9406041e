#pragma once

// Files of other formats, made by Arrow: what a test imports is written by another program than
// what reads it.

#include <arrow/type_fwd.h>

#include <memory>
#include <string>
#include <string_view>

namespace attune {

// A failure aborts: it is the test's own.
std::string Gzip(std::string_view bytes);
std::string Zstd(std::string_view bytes);

struct ParquetLayout {
  int64_t rows_a_group = 1000;
  bool compressed = true;
  bool dictionary = true;
};
std::string ParquetOf(const arrow::Table& table, const ParquetLayout& layout = {});
// Of JSONL rows: types as Arrow infers them, lists and structs too; a key that a row has not is
// null.
std::string ParquetOfRows(std::string_view jsonl, const ParquetLayout& layout = {});

}  // namespace attune
