#pragma once

// The shards of a new version and the part of its report that speaks of what they hold. Memory: a
// line and the indexes of the open shards, whatever the number of examples.

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/cancel_check.h"
#include "common/base/status.h"
#include "coordinator/datasets/line_facts.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/shard_writer.h"

namespace attune::datasets {

inline constexpr uint64_t kExamplesMax = 200'000'000;

struct Imported {
  v1::DatasetVersion report;    // all but name, version, created and path
  std::vector<Shard> shards;    // train first, then validation and unlabelled
  std::string findings_sha256;  // of what curation found, in a file beside them; empty: nothing
};

// kResourceExhausted beyond max.
Status CheckExamples(uint64_t examples, uint64_t max = kExamplesMax);

// kDataLoss when the shard's split is none of kSplits.
Status CheckSplit(const v1::DatasetVersion& version, const Shard& shard);

class VersionWriter {
 public:
  // cancelled: asked now and then by Share and Copy.
  explicit VersionWriter(const std::filesystem::path& folder, uint64_t shard_bytes = kShardBytes,
                         CancelCheck cancelled = {});
  VersionWriter(const VersionWriter&) = delete;
  VersionWriter& operator=(const VersionWriter&) = delete;

  MetadataKeys* metadata_keys() { return &keys_; }
  void set_on_shard(const ShardWriter::OnShard& on_shard) {
    for (ShardWriter& split : splits_) split.set_on_shard(on_shard);
  }
  // An example that the version has not yet, with its shard line; split is one of kSplits.
  Status Add(std::string_view split, const LineFacts& facts, std::string_view line);
  // A shard of another version, none of whose examples this one has. index: that shard's.
  Status Share(const v1::DatasetVersion& version, const Shard& shard, const ShardIndex& index);
  // Those lines of it that are wanted, by their number from 0.
  Status Copy(const v1::DatasetVersion& version, const Shard& shard, const ShardIndex& index,
              const std::function<bool(size_t)>& wanted);

  // No Add after it.
  Result<Imported> Finish();

 private:
  ShardWriter* Find(std::string_view split);
  void FillReport();

  CancelCheck cancelled_;
  MetadataKeys keys_;
  std::array<ShardWriter, kSplits.size()> splits_;
  LengthCounts lengths_;
  std::array<uint64_t, kRowKinds> kinds_{};
  std::array<uint64_t, kMetadataKeysReported> examples_by_key_{};
  v1::DatasetVersion report_;
};

// sha256 of the shards' checksums, in order.
std::string ChecksumOf(const std::vector<Shard>& shards);

// The content of manifest.json.
std::string ManifestJson(const v1::DatasetVersion& version, const Imported& imported);

}  // namespace attune::datasets
