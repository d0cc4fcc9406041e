#pragma once

// The rows of a CSV file (RFC 4180, https://www.rfc-editor.org/rfc/rfc4180): comma or another
// delimiter, double quotes, doubled inside quotes, line feeds inside quotes, LF or CRLF at the end
// of a row, a header row. Every value is the text that stands there. Looser than the RFC: a quote
// inside a value that does not begin with one is a character like others, and blank lines are
// skipped.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/datasets/sources/byte_sink.h"
#include "coordinator/datasets/sources/source_row.h"

namespace attune::datasets {

inline constexpr size_t kCsvColumnsMax = 4096;

class CsvReader final : public ByteSink {
 public:
  // Bytes begin after the byte order mark, if there is one. A row of more than row_bytes_max, with
  // another number of values than the header, or with text after a closing quote is a row with a
  // problem.
  CsvReader(char delimiter, size_t row_bytes_max, RowHandler handler);

  // kInvalidArgument for a header that cannot be one.
  Status Append(std::string_view bytes) override;
  // kInvalidArgument when a quote never closes.
  Status End() override;

 private:
  // Where the next byte stands.
  enum class At { kValueStart, kPlain, kQuoted, kAfterQuote, kAfterQuoteReturn };

  // Each takes the bytes that it can of the value it stands in and leaves the rest.
  Status TakePlain(std::string_view* bytes);
  void TakeQuoted(std::string_view* bytes);
  Status TakeAfterQuote(std::string_view* bytes);

  void Keep(std::string_view part);
  void EndValue();
  Status EndRow();
  Status TakeHeader();
  Status TakeValues();
  std::string_view Value(size_t i) const;

  const char delimiter_;
  const size_t row_bytes_max_;
  const RowHandler handler_;
  std::vector<std::string> keys_;  // the header's names as they begin a member: "{\"prompt\":"
  At at_ = At::kValueStart;
  uint64_t line_ = 1, row_line_ = 1, quote_line_ = 1;  // of the next byte, the row, the last quote
  std::string values_;                                 // of the row, one after the other
  std::vector<size_t> ends_;                           // of each in values_
  size_t count_ = 0;  // of values; ends_ has no more than the header and one
  bool quoted_ = false, text_after_quote_ = false, too_long_ = false;
  std::string json_;
};

}  // namespace attune::datasets
