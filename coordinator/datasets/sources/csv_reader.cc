#include "coordinator/datasets/sources/csv_reader.h"

#include <algorithm>
#include <set>

#include "common/base/utf8.h"
#include "coordinator/datasets/sources/json_text.h"

namespace attune::datasets {

CsvReader::CsvReader(char delimiter, size_t row_bytes_max, RowHandler handler)
    : delimiter_(delimiter), row_bytes_max_(row_bytes_max), handler_(std::move(handler)) {}

Status CsvReader::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    switch (at_) {
      case At::kValueStart:
        if (bytes.front() == '"') {
          bytes.remove_prefix(1);
          quoted_ = true;
          quote_line_ = line_;
          at_ = At::kQuoted;
        } else {
          at_ = At::kPlain;
        }
        break;
      case At::kPlain:
        ATTUNE_RETURN_IF_ERROR(TakePlain(&bytes));
        break;
      case At::kQuoted:
        TakeQuoted(&bytes);
        break;
      case At::kAfterQuote:
      case At::kAfterQuoteReturn:
        ATTUNE_RETURN_IF_ERROR(TakeAfterQuote(&bytes));
        break;
    }
  }
  return Status();
}

Status CsvReader::TakePlain(std::string_view* bytes) {
  const char ends[] = {delimiter_, '\n'};
  const size_t end = std::min(bytes->find_first_of({ends, sizeof ends}), bytes->size());
  Keep(bytes->substr(0, end));
  bytes->remove_prefix(end);
  if (bytes->empty()) return Status();
  const char c = bytes->front();
  bytes->remove_prefix(1);
  if (c == '\n') {
    // The return of a CRLF; one anywhere else is the value's.
    const size_t begin = ends_.empty() ? 0 : ends_.back();
    if (values_.size() > begin && values_.back() == '\r') values_.pop_back();
  }
  EndValue();
  return c == '\n' ? EndRow() : Status();
}

void CsvReader::TakeQuoted(std::string_view* bytes) {
  const size_t end = std::min(bytes->find('"'), bytes->size());
  const std::string_view part = bytes->substr(0, end);
  line_ += static_cast<uint64_t>(std::count(part.begin(), part.end(), '\n'));
  Keep(part);
  bytes->remove_prefix(end);
  if (bytes->empty()) return;
  bytes->remove_prefix(1);
  at_ = At::kAfterQuote;
}

Status CsvReader::TakeAfterQuote(std::string_view* bytes) {
  const char c = bytes->front();
  const bool after_return = at_ == At::kAfterQuoteReturn;
  if (c == '\n' || (c == delimiter_ && !after_return)) {
    bytes->remove_prefix(1);
    EndValue();
    return c == '\n' ? EndRow() : Status();
  }
  if (c == '\r' && !after_return) {
    bytes->remove_prefix(1);
    at_ = At::kAfterQuoteReturn;
  } else if (c == '"' && !after_return) {
    bytes->remove_prefix(1);
    Keep("\"");
    at_ = At::kQuoted;
  } else {
    text_after_quote_ = true;
    at_ = At::kPlain;
  }
  return Status();
}

void CsvReader::Keep(std::string_view part) {
  if (values_.size() + part.size() > row_bytes_max_) too_long_ = true;
  if (!too_long_) values_.append(part);
}

void CsvReader::EndValue() {
  ++count_;
  if (ends_.size() <= (keys_.empty() ? kCsvColumnsMax : keys_.size())) {
    ends_.push_back(values_.size());
  }
  at_ = At::kValueStart;
}

Status CsvReader::EndRow() {
  ++line_;
  const bool blank = count_ == 1 && values_.empty() && !quoted_ && !too_long_;
  Status status;
  if (!blank) status = keys_.empty() ? TakeHeader() : TakeValues();
  values_.clear();
  ends_.clear();
  count_ = 0;
  quoted_ = text_after_quote_ = too_long_ = false;
  row_line_ = line_;
  at_ = At::kValueStart;
  return status;
}

std::string_view CsvReader::Value(size_t i) const {
  const size_t begin = i == 0 ? 0 : ends_[i - 1];
  return std::string_view(values_).substr(begin, ends_[i] - begin);
}

Status CsvReader::TakeHeader() {
  const std::string where = "the header row ";
  if (too_long_ || count_ > kCsvColumnsMax) {
    return InvalidArgument(where + "has more than " + std::to_string(kCsvColumnsMax) +
                           " columns, or is too long: is this CSV?");
  }
  if (text_after_quote_) return InvalidArgument(where + "has text after a closing quote");
  std::set<std::string_view> names;
  for (size_t i = 0; i < count_; ++i) {
    const std::string_view name = Value(i);
    if (count_ == 1 && name.find_first_of(",\t;|") != std::string_view::npos) {
      return InvalidArgument(where + "is one column, '" + Shorten(name, 100) +
                             "': say in an import spec what separates the values (delimiter)");
    }
    if (!names.insert(name).second) {
      return InvalidArgument(where + "names the column '" + Shorten(name, 100) + "' twice");
    }
    std::string key = i == 0 ? "{" : ",";
    // The index that some tools write has no name.
    AppendJsonString(name.empty() ? "column " + std::to_string(i + 1) : std::string(name), &key);
    keys_.push_back(key + ":");
  }
  return Status();
}

Status CsvReader::TakeValues() {
  std::string problem;
  if (too_long_) {
    problem = TooLong(row_bytes_max_);
  } else if (text_after_quote_) {
    problem = "has text after a closing quote (a quote inside a quoted value is written twice)";
  } else if (count_ != keys_.size()) {
    problem = "has " + std::to_string(count_) + " values, the header has " +
              std::to_string(keys_.size()) + " columns";
  }
  if (!problem.empty()) return handler_({.number = row_line_, .problem = problem});
  json_.clear();
  for (size_t i = 0; i < keys_.size(); ++i) {
    json_ += keys_[i];
    AppendJsonString(Value(i), &json_);
  }
  json_ += '}';
  return handler_({.number = row_line_, .json = json_});
}

Status CsvReader::End() {
  if (at_ == At::kQuoted) {
    return InvalidArgument("the quote that opens in line " + std::to_string(quote_line_) +
                           " never closes: the file was cut off, or a quote stands there that "
                           "should be doubled");
  }
  const bool begun = at_ != At::kValueStart || count_ > 0;
  if (!begun) return Status();
  EndValue();
  return EndRow();
}

}  // namespace attune::datasets
