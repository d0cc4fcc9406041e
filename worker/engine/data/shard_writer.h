#pragma once

// Writes a token shard. The layout, little-endian:
//
//   header   16 bytes: "ATTNTOKS", version (u32), zero (u32)
//   examples one after the other: tokens (u32 each), targets (u8 each), zeros up to a multiple of 4
//   index    tokens of each example (u32 each), targets of each (u32 each), ids (16 bytes each)
//   footer   96 bytes: examples, tokens, where the index starts (u64 each), the largest token id
//   (u64), sha256 of
//            everything before it (64 hexadecimal characters)

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/status.h"

namespace attune::engine {

inline constexpr char kShardMagic[8] = {'A', 'T', 'T', 'N', 'T', 'O', 'K', 'S'};
inline constexpr uint32_t kShardVersion = 1;
inline constexpr size_t kShardHeaderBytes = 16;
inline constexpr size_t kShardFooterBytes = 96;
inline constexpr size_t kExampleIdBytes = 16;

// Not thread-safe. Without Commit nothing is left behind.
class ShardWriter {
 public:
  static Result<ShardWriter> Create(const std::filesystem::path& file);

  // As many targets as tokens, the first target 0, at least one 1; id of 16 bytes.
  Status Add(std::span<const uint32_t> tokens, std::span<const uint8_t> targets,
             std::span<const uint8_t> id);
  Status Commit();

  uint64_t examples() const { return lengths_.size(); }
  uint64_t tokens() const { return tokens_; }
  uint64_t target_tokens() const { return target_tokens_; }

 private:
  explicit ShardWriter(AtomicFileWriter file) : file_(std::move(file)) {}
  Status Write(const void* data, size_t size);

  AtomicFileWriter file_;
  std::unique_ptr<Sha256> hash_ = std::make_unique<Sha256>();
  std::vector<uint32_t> lengths_, target_counts_;
  std::vector<uint8_t> ids_;
  uint64_t tokens_ = 0, target_tokens_ = 0;
  uint32_t largest_ = 0;
};

}  // namespace attune::engine
