#pragma once

// Lines out of bytes that arrive in pieces, with bounded memory.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune::datasets {

struct Line {
  uint64_t number;        // from 1
  std::string_view text;  // without its end; valid during the call
  bool too_long;          // text is cut off
};

class LineReader {
 public:
  using Handler = std::function<Status(const Line&)>;

  LineReader(size_t line_bytes_max, Handler handler)
      : line_bytes_max_(line_bytes_max), handler_(std::move(handler)) {}

  // Hands over every line that is complete. The first error of the handler is returned.
  Status Append(std::string_view bytes);
  // Hands over a last line without a line feed; then counts from 1 again.
  Status EndFile();

 private:
  Status EndLine();

  const size_t line_bytes_max_;
  const Handler handler_;
  std::string line_;
  bool too_long_ = false;
  uint64_t number_ = 0;
};

}  // namespace attune::datasets
