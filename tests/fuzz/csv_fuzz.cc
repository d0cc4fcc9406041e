#include "coordinator/datasets/row_json.h"
#include "coordinator/datasets/sources/csv_reader.h"
#include "coordinator/datasets/sources/format.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

// What is handed over is JSON, unless it has bytes that are no UTF-8, or too many columns.
std::string RowsOf(std::string_view bytes, size_t piece) {
  std::string rows;
  CsvReader reader(*DelimiterOf(bytes, /*all=*/true, ""), 1 << 10, [&](const SourceRow& row) {
    rows += std::to_string(row.number) + std::string(row.json) + std::string(row.problem) + "\n";
    if (!row.json.empty() && FindInvalidUtf8(row.json) == std::string_view::npos) {
      Result<RowJson> json = ParseRowJson(row.json);
      ATTUNE_CHECK(json.ok() && json->is_object());
      for (const auto& [key, value] : json->items()) ATTUNE_CHECK(value.is_string());
    }
    return Status();
  });
  Status status;
  for (size_t at = 0; status.ok() && at < bytes.size(); at += piece) {
    status = reader.Append(bytes.substr(at, piece));
  }
  if (status.ok()) status = reader.End();
  return rows + status.message();
}

}  // namespace
}  // namespace attune::datasets

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune::datasets;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ATTUNE_CHECK(RowsOf(bytes, size + 1) == RowsOf(bytes, 1));
  return 0;
}
