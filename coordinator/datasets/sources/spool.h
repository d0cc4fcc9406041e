#pragma once

// Bytes set aside until all are there, in a file without a name: it goes with the process, however
// that ends.

#include <filesystem>
#include <string_view>

#include "common/base/status.h"

namespace attune::datasets {

class Spool {
 public:
  Spool() = default;
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // folder: on the disk that is to hold them. kResourceExhausted when that is full.
  Status Open(const std::filesystem::path& folder);
  Status Append(std::string_view bytes);

  // Readable from its start; whoever takes it closes it.
  int Release();

 private:
  std::filesystem::path folder_;
  int fd_ = -1;
};

}  // namespace attune::datasets
