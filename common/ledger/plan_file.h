#pragma once

// What a run was to feed to its model: RUN/ledger/plan, written once by rank 0. The layout,
// little-endian:
//
//   header   96 bytes: "ATTNPLAN", version (u32), epochs (u32), examples of an epoch (u64), steps
//   of
//            an epoch (u32), steps of the run (u32), the step plan's digest (64 characters)
//   ids      16 bytes an example; one that an epoch has twice is there twice
//   steps    of each epoch, u32 an example: the step, from 1, that it is planned for; 0: the run
//            ends before that
//   footer   sha256 of all before it, 64 hexadecimal characters
//
// 16 bytes an example, and 4 an epoch.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/status.h"
#include "common/ledger/example_sum.h"

namespace attune::ledger {

struct PlanShape {
  uint64_t examples = 0;  // of an epoch: at least 1, at most 2^32 - 2
  uint32_t steps_an_epoch = 0, steps = 0;
  std::string digest;  // of the step plan: 64 characters

  uint32_t epochs() const {
    return static_cast<uint32_t>((uint64_t{steps} + steps_an_epoch - 1) / steps_an_epoch);
  }
};

// The path in a run's folder.
std::filesystem::path PlanPath(const std::filesystem::path& run);

// Writes header, then all ids, then each epoch's steps, and commits. Not thread-safe.
class PlanFileWriter {
 public:
  static Result<PlanFileWriter> Create(const std::filesystem::path& file, const PlanShape& shape);
  Status AddId(std::span<const uint8_t> id);
  // Of one epoch, a number for each example.
  Status AddSteps(std::span<const uint32_t> steps);
  Status Commit();

 private:
  PlanFileWriter(AtomicFileWriter file, const PlanShape& shape)
      : file_(std::move(file)), shape_(shape) {}
  Status Write(std::string_view bytes);

  AtomicFileWriter file_;
  std::unique_ptr<Sha256> hash_ = std::make_unique<Sha256>();
  const PlanShape shape_;
  uint64_t ids_ = 0;
  uint32_t epochs_ = 0;
};

// A plan file, checked: later calls read within it. Memory is the file's pages.
class PlanFile {
 public:
  // kNotFound, or kDataLoss when it is damaged or of another version.
  static Result<PlanFile> Open(const std::filesystem::path& file);
  // The bytes must outlive it.
  static Result<PlanFile> Parse(std::span<const std::byte> bytes);

  const PlanShape& shape() const { return shape_; }
  uint64_t bytes() const { return bytes_.size(); }
  std::span<const uint8_t> Id(uint64_t example) const;
  // 0, or within the epoch's steps; epoch from 0.
  uint32_t Step(uint32_t epoch, uint64_t example) const;

 private:
  PlanFile() = default;
  Status Check();

  std::shared_ptr<MappedFile> map_;
  std::span<const std::byte> bytes_;
  PlanShape shape_;
};

}  // namespace attune::ledger
