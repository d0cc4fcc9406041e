#pragma once

// Sorts any number of (key, row) pairs with a bounded buffer: runs are sorted in memory, written to
// a scratch file and merged.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "common/base/cancel_check.h"
#include "common/base/scratch_file.h"
#include "common/base/status.h"

namespace attune::curation {

class BandSorter {
 public:
  // buffer_bytes bounds the memory, of which a merge needs 48 KiB a run.
  BandSorter(std::filesystem::path folder, uint64_t buffer_bytes, CancelCheck cancelled = {});

  Status Add(uint64_t key, uint32_t row);

  // Hands over the rows of each key that several have, ascending; keys in no order that matters,
  // the same for the same pairs. No Add after it. The first error of take is returned.
  using TakeRows = std::function<Status(std::span<const uint32_t>)>;
  Status ForEachGroup(const TakeRows& take);

 private:
  struct [[gnu::packed]] Entry {
    uint64_t key;
    uint32_t row;
  };
  struct Run {
    uint64_t first, count;  // entries in the file
  };
  class RunReader;
  class Grouper;

  void SortBuffer();
  Status Spill();
  Status Merge(Grouper* grouper);

  const std::filesystem::path folder_;
  const size_t capacity_;  // entries
  CancelCheck cancelled_;
  std::vector<Entry> buffer_;
  std::optional<ScratchFile> file_;
  std::vector<Run> runs_;
};

}  // namespace attune::curation
