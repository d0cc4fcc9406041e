#pragma once

// Bytes on their way from a file to rows: what takes the next of them.

#include <string_view>

#include "common/base/status.h"

namespace attune::datasets {

class ByteSink {
 public:
  virtual ~ByteSink() = default;

  // An error ends the file, and the import with it.
  virtual Status Append(std::string_view bytes) = 0;
  // There are no more. Once, and only after Appends that went well.
  virtual Status End() = 0;
};

}  // namespace attune::datasets
