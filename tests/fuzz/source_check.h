#pragma once

// What every reader of imported bytes must do, whatever they are.

#include <string_view>

#include "coordinator/datasets/sources/source_reader.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {

// The file is read or refused, in words that are valid UTF-8; rows are JSON or have a problem, in
// order. Returns how many; nothing when it is refused.
inline std::optional<uint64_t> CheckSource(const std::string& name, std::string_view bytes,
                                           size_t piece, std::optional<Format> format) {
  uint64_t rows = 0, last = 0;
  SourceReader reader({.folder = "/tmp", .format = format, .row_bytes_max = 1 << 16},
                      [&](const SourceRow& row) {
                        ++rows;
                        ATTUNE_CHECK(row.file == 0 && row.number > last);
                        ATTUNE_CHECK(row.json.empty() != row.problem.empty());
                        ATTUNE_CHECK(FindInvalidUtf8(row.problem) == std::string_view::npos);
                        last = row.number;
                        return rows < 100'000 ? Status() : Cancelled("enough");
                      });
  Status status;
  for (size_t at = 0; status.ok() && at < bytes.size(); at += piece) {
    status = reader.Append(name, bytes.substr(at, piece));
  }
  if (status.ok()) status = reader.Finish();
  ATTUNE_CHECK(FindInvalidUtf8(status.message()) == std::string_view::npos);
  return status.ok() ? std::optional(rows) : std::nullopt;
}

}  // namespace attune::datasets
