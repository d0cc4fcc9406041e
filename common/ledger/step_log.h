#pragma once

// What an attempt of a run fed to its model: RUN/ledger/generation-00000003, appended to by rank 0
// after each step, when the step's sums over all ranks are known. The layout, little-endian:
//
//   header   96 bytes: "ATTNSTEP", version (u32), generation (u32), ranks (u32), the step it
//            resumed from (u32), the generation that had written that checkpoint (u32), zero (u32),
//            the step plan's digest (64 characters)
//   steps    24 bytes each: step (u32), check (u32), examples (u64), digest (u64)
//
// A record that a killed writer left half-written is at the end and ignored. An attempt is known to
// the storage by its number, so each has a file of its own and none writes another's.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/ledger/example_sum.h"

namespace attune::ledger {

struct Attempt {
  uint32_t generation = 0;  // from 1
  uint32_t ranks = 0;
  uint32_t resumed_step = 0;        // 0: it began at the start
  uint32_t resumed_generation = 0;  // that applied resumed_step; 0: none
  std::string plan_digest;          // 64 characters
};

struct AppliedStep {
  uint32_t step = 0;  // from 1
  ExampleSum sum;     // over all ranks
};

struct StepLog {
  Attempt attempt;
  std::vector<AppliedStep> steps;  // in the order in which they were applied
};

// Appends to the attempt's file. Not thread-safe.
class StepLogWriter {
 public:
  // Begins the attempt's file; one that is there, of a process that was killed before it took a
  // step and was started again, is written anew.
  static Result<StepLogWriter> Create(const std::filesystem::path& run, const Attempt& attempt);
  ~StepLogWriter();
  StepLogWriter(StepLogWriter&& other) noexcept;
  StepLogWriter& operator=(StepLogWriter&&) = delete;

  // Survives the end of this process, and that of the host once Sync has returned.
  Status Add(const AppliedStep& step);
  Status Sync();

 private:
  StepLogWriter(int fd, std::filesystem::path path, uint32_t generation)
      : fd_(fd), path_(std::move(path)), generation_(generation) {}
  Status Write(const std::string& bytes);

  int fd_;
  const std::filesystem::path path_;
  const uint32_t generation_;
};

// kDataLoss when it is damaged or of another version.
Result<StepLog> ParseStepLog(std::span<const std::byte> bytes);

// Of all attempts of a run, by generation; none when there is no ledger.
Result<std::vector<StepLog>> ReadStepLogs(const std::filesystem::path& run);

}  // namespace attune::ledger
