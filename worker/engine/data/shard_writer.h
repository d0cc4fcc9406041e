#pragma once

// Writes a token file. The layout, little-endian:
//
//   header   16 bytes: "ATTNTOKS", version (u32), zero (u32)
//   examples one after the other: tokens (u32 each), targets (u8 each), zeros up to a multiple of 4
//   index    of each example its tokens (u32 each), then its targets (u32 each), then where it
//            starts, in units of 4 bytes (u32 each), then its id (16 bytes each)
//   notes    bytes that the writer's caller chose
//   footer   168 bytes: examples, tokens, where the index starts, where the notes start, the
//            largest token id (u64 each); sha256 of header and examples, sha256 of everything
//            between those and itself (64 hexadecimal characters each)

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/status.h"

namespace attune::engine {

inline constexpr char kShardMagic[8] = {'A', 'T', 'T', 'N', 'T', 'O', 'K', 'S'};
inline constexpr uint32_t kShardVersion = 2;
inline constexpr size_t kShardHeaderBytes = 16;
inline constexpr size_t kShardFooterBytes = 168;
inline constexpr size_t kExampleIdBytes = 16;

// Not thread-safe. Without Commit nothing is left behind.
class ShardWriter {
 public:
  static Result<ShardWriter> Create(const std::filesystem::path& file);

  // As many targets as tokens, the first target 0, at least one 1; id of 16 bytes.
  // kInvalidArgument when the file would have 16 GiB.
  Status Add(std::span<const uint32_t> tokens, std::span<const uint8_t> targets,
             std::span<const uint8_t> id);
  // A file that is there already stays: it has the same examples, and others may have it mapped.
  Status Commit(std::string_view notes = "");

  uint64_t examples() const { return lengths_.size(); }
  uint64_t tokens() const { return tokens_; }
  uint64_t target_tokens() const { return target_tokens_; }

 private:
  explicit ShardWriter(AtomicFileWriter file) : file_(std::move(file)) {}
  Status Write(const void* data, size_t size);

  AtomicFileWriter file_;
  std::unique_ptr<Sha256> hash_ = std::make_unique<Sha256>();  // of the part that is written
  std::vector<uint32_t> lengths_, target_counts_, starts_;
  std::vector<uint8_t> ids_;
  uint64_t tokens_ = 0, target_tokens_ = 0;
  uint32_t largest_ = 0;
};

}  // namespace attune::engine
