#include "coordinator/datasets/sources/jsonl_reader.h"

namespace attune::datasets {
namespace {

bool IsBlankLine(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

}  // namespace

std::string TooLong(size_t row_bytes_max) {
  return "longer than " + std::to_string(row_bytes_max >> 20) + " MiB";
}

JsonlReader::JsonlReader(size_t row_bytes_max, RowHandler handler)
    : row_bytes_max_(row_bytes_max),
      handler_(std::move(handler)),
      lines_(row_bytes_max, [this](const Line& line) { return TakeLine(line); }) {}

Status JsonlReader::TakeLine(const Line& line) {
  if (line.too_long) {
    const std::string problem = TooLong(row_bytes_max_);
    return handler_({.number = line.number, .problem = problem});
  }
  if (IsBlankLine(line.text)) return Status();
  return handler_({.number = line.number, .json = line.text});
}

}  // namespace attune::datasets
