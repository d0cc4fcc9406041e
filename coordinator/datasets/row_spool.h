#pragma once

// The rows of an import between its passes: lines for shards with what is known of them, and those
// rows whose lines another version has, with a place and no line. They lie in files
// of an import's temporary folder. Each file is removed when it has been read, so that beside the
// shards at most one more of them takes space. Not synced: after a crash the import is gone anyway.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

#include "common/base/status.h"
#include "coordinator/datasets/line_facts.h"
#include "coordinator/datasets/unnamed_file.h"

namespace attune::datasets {

inline constexpr uint64_t kSpoolFileBytes = 32 << 20;

struct SpooledRow {
  uint32_t number = 0;  // of its example
  size_t file = 0;      // the number of the file that it is from
  uint64_t file_line = 0;
  LineFacts facts;
  std::string_view line;      // valid during the call, as is
  std::string_view findings;  // what curation found in it (UndecidedFindings)
};

class RowSpool {
 public:
  explicit RowSpool(std::filesystem::path folder, uint64_t file_bytes = kSpoolFileBytes)
      : folder_(std::move(folder)), file_bytes_(file_bytes) {}
  ~RowSpool();
  RowSpool(const RowSpool&) = delete;
  RowSpool& operator=(const RowSpool&) = delete;

  Status Append(const SpooledRow& row);
  // In order; the first error of take is returned. Once, after the last Append.
  Status Drain(const std::function<Status(const SpooledRow&)>& take);

 private:
  Status CloseFile();
  std::filesystem::path FileOf(size_t number) const;
  Status DrainFile(size_t number, const std::function<Status(const SpooledRow&)>& take);

  const std::filesystem::path folder_;
  const uint64_t file_bytes_;
  size_t files_ = 0;  // that are full, and have their names
  std::optional<UnnamedFile> file_;
};

}  // namespace attune::datasets
