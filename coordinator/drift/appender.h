#pragma once

// Copies staged rows to the files of their windows. Used by one thread.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "coordinator/drift/live_files.h"
#include "coordinator/drift/repository.h"

namespace attune::drift {

// That wait to be committed, a line each.
struct StagedRows {
  std::string stream;
  File file;  // has no name any more
  std::filesystem::path path;
  uint64_t bytes = 0;
  std::vector<bool> labelled;  // of each row
};

class Appender {
 public:
  Appender(std::filesystem::path folder, const StagedRows* rows, TimePoint now, uint64_t rows_max)
      : folder_(std::move(folder)), staged_(rows), now_(now), rows_max_(rows_max) {}

  // open: the window that takes rows, if there is one; else last is the number of the newest.
  Status Run(const std::optional<WindowRecord>& open, uint64_t last);

  // What is to be committed next.
  const std::vector<WindowRecord>& windows() const { return windows_; }

 private:
  WindowRecord NewWindow(uint64_t number) const;
  Status Begin(const WindowRecord& record);
  Status Add(std::string_view piece);
  Status EndRow(bool labelled);
  Status End(bool full);
  Status Flush();

  const std::filesystem::path folder_;
  const StagedRows* const staged_;
  const TimePoint now_;
  const uint64_t rows_max_;
  std::vector<WindowRecord> windows_;
  bool writing_ = false;
  File file_;
  std::filesystem::path path_;
  std::string out_;
};

}  // namespace attune::drift
