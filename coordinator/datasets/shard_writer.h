#pragma once

// The shards of one split: SPLIT-00000.jsonl, SPLIT-00001.jsonl, ... of about equal size.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/status.h"

namespace attune::datasets {

inline constexpr uint64_t kShardBytes = 64 << 20;

struct Shard {
  std::string file;  // its name in the version's folder
  std::string split;
  uint64_t examples = 0;
  uint64_t bytes = 0;
  std::string sha256;
};

class ShardWriter {
 public:
  // A shard is closed once it has shard_bytes.
  ShardWriter(std::filesystem::path folder, std::string split, uint64_t shard_bytes)
      : folder_(std::move(folder)), split_(std::move(split)), shard_bytes_(shard_bytes) {}

  Status Append(std::string_view line);
  // Closes the last shard; no Append after it.
  Status Finish();
  const std::string& split() const { return split_; }
  const std::vector<Shard>& shards() const { return shards_; }  // the closed ones
  uint64_t examples() const { return examples_; }

 private:
  Status Open();
  Status Close();

  const std::filesystem::path folder_;
  const std::string split_;
  const uint64_t shard_bytes_;
  std::vector<Shard> shards_;
  uint64_t examples_ = 0;
  Shard current_;
  std::optional<AtomicFileWriter> file_;
  std::optional<Sha256> hash_;
};

}  // namespace attune::datasets
