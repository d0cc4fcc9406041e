#pragma once

// Which rows of a data set are near-duplicates of which: rows that share a band (banding.h) and
// whose signatures' estimate is high enough are joined, and what is joined to the same row is in
// one cluster. The answer depends on the signatures and their order alone.
//
// Memory: 4 bytes a row, the buffer, and 64 MiB for the filter; while Finish runs, pages of the
// signatures too, which the system may take back. Disk, in the folder: 128 bytes an added row for
// the signatures and, once the buffer is full, 12 bytes a band of each row (252 with threshold
// 0.8).

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "common/base/cancel_check.h"
#include "common/base/scratch_file.h"
#include "common/base/status.h"
#include "coordinator/curation/band_sorter.h"
#include "coordinator/curation/banding.h"
#include "coordinator/curation/signature.h"

namespace attune::curation {

struct NearDuplicateOptions {
  std::filesystem::path folder;  // for scratch files
  double threshold = kThresholdDefault;
  uint64_t buffer_bytes = 64 << 20;
  // Stored rows are not compared with each other: they were, when they were added. So an append
  // costs little more than a look at each stored signature.
  bool stored_are_compared = false;
  CancelCheck cancelled = CancelCheck();  // asked now and then by Finish
};

class NearDuplicates {
 public:
  // options.threshold: from kThresholdMin to kThresholdMax.
  static Result<NearDuplicates> Create(const NearDuplicateOptions& options);

  // The next rows', kept since an earlier version (signature_file.h); alive as long as owner.
  // Before the first Add.
  Status AddStored(std::span<const Signature> signatures, std::shared_ptr<const void> owner);
  // The next row's. At most 2^32 - 1 rows in all. Errors: a full disk.
  Status Add(const Signature& signature);
  uint64_t rows() const { return stored_rows_ + added_.size() / sizeof(Signature); }

  // For each row the first row of its cluster: itself where it has no near-duplicate before it. No
  // Add after it.
  Result<std::vector<uint32_t>> Finish();

  // After Finish.
  const Signature& At(uint64_t row) const;
  // From which rows are joined.
  double accepted() const { return accepted_; }

 private:
  class KeyFilter;
  struct Part {
    uint64_t first;  // row
    std::span<const Signature> signatures;
    std::shared_ptr<const void> owner;
  };

  NearDuplicates(ScratchFile added, const NearDuplicateOptions& options);
  Status AddKeys(uint64_t first, std::span<const Signature> signatures, const KeyFilter* filter);
  Status AddAllKeys();
  // Joins rows that have a band in common.
  Status Join(std::span<const uint32_t> rows);

  const NearDuplicateOptions options_;
  const Banding banding_;
  const double accepted_;
  std::vector<Part> parts_;  // stored ones; in Finish what was added is the last
  uint64_t stored_rows_ = 0;
  ScratchFile added_;
  BandSorter bands_;
  CancelCheck cancelled_;
  std::vector<uint32_t> parents_;  // of a union-find, in Finish
};

}  // namespace attune::curation
