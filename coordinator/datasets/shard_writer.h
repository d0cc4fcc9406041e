#pragma once

// The shards of one split, named after their content: SPLIT-<16 digits of the sha256>.jsonl of
// about equal size, each with its index (shard_index.h) beside it. Equal lines in equal order make
// equal shards. Memory: 28 bytes for each line of the open shard.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/hash.h"
#include "common/base/status.h"
#include "coordinator/datasets/line_facts.h"
#include "coordinator/datasets/shard.h"
#include "coordinator/datasets/shard_index.h"
#include "coordinator/datasets/unnamed_file.h"

namespace attune::datasets {

class ShardWriter {
 public:
  // Called with each shard once it has its name.
  using OnShard = std::function<Status(const Shard&, const ShardIndex&)>;
  // A shard is closed once it has shard_bytes. keys outlives the writer.
  ShardWriter(std::filesystem::path folder, std::string split, uint64_t shard_bytes,
              const MetadataKeys* keys)
      : folder_(std::move(folder)),
        split_(std::move(split)),
        shard_bytes_(shard_bytes),
        keys_(keys) {}

  void set_on_shard(OnShard on_shard) { on_shard_ = std::move(on_shard); }
  // line: with its line feed.
  Status Append(const LineFacts& facts, std::string_view line);
  // A shard of another version as a whole: by a hard link, so that it is stored once, or as a copy
  // where the file system has no links. index: that shard's.
  Status Share(const v1::DatasetVersion& version, const Shard& shard, const ShardIndex& index);
  // Closes the last shard; no Append after it.
  Status Finish();
  const std::string& split() const { return split_; }
  const std::vector<Shard>& shards() const { return shards_; }  // those that are closed
  uint64_t examples() const { return examples_; }
  uint64_t stored_bytes() const { return stored_bytes_; }  // of shards that are no links

 private:
  Status Open();
  Status Close();
  Result<std::filesystem::path> NewFile(const Shard& shard) const;
  std::string FileOf(const std::string& sha256) const;

  const std::filesystem::path folder_;
  const std::string split_;
  const uint64_t shard_bytes_;
  const MetadataKeys* const keys_;
  OnShard on_shard_;  // may be null
  std::vector<Shard> shards_;
  uint64_t examples_ = 0, stored_bytes_ = 0;
  // Of the open shard.
  Shard current_;
  ShardIndex index_;
  std::vector<uint64_t> lines_by_key_;
  std::optional<UnnamedFile> file_;
  std::optional<Sha256> hash_;
};

}  // namespace attune::datasets
