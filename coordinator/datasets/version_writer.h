#pragma once

// The shards of a new version and the part of its report that speaks of what they hold. Memory: one
// line and 20 bytes an example, whatever their size.

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/id_set.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/shard_writer.h"

namespace attune::datasets {

inline constexpr uint64_t kExamplesMax = 200'000'000;
inline constexpr size_t kMetadataKeysReported = 50;

struct Imported {
  v1::DatasetVersion report;  // all but name, version, created and path
  std::vector<Shard> shards;  // train first, then validation and unlabelled, by number
};

class VersionWriter {
 public:
  explicit VersionWriter(const std::filesystem::path& folder, uint64_t shard_bytes = kShardBytes);

  // False when the version has this id already. kResourceExhausted beyond kExamplesMax.
  Result<bool> Claim(std::string_view id);
  // A row whose id was claimed, with its shard line.
  Status Add(std::string_view split, const Row& row, std::string_view line);
  // The examples of another version that this one has not, each on the side where it was. Returns
  // how many it had. After an error this version is to be thrown away.
  Result<uint64_t> CopyFrom(const v1::DatasetVersion& version);
  // By split; those that were added.
  uint64_t examples(std::string_view split) const;

  // No Add after it.
  Result<Imported> Finish();

 private:
  // What CopyFrom does with a line. Returns whether it was there already.
  Result<bool> CopyLine(std::string_view split, std::string_view line);
  const ShardWriter* Find(std::string_view split) const;
  void CountMetadata(const Row& row);
  void FillReport();

  std::array<ShardWriter, 3> splits_;
  IdSet ids_;
  std::vector<uint32_t> lengths_;  // characters of each example
  std::array<uint64_t, kRowKinds> kinds_{};
  v1::DatasetVersion report_;
};

// sha256 of the shards' checksums, in order.
std::string ChecksumOf(const std::vector<Shard>& shards);

// The content of manifest.json.
std::string ManifestJson(const v1::DatasetVersion& version, const std::vector<Shard>& shards);

}  // namespace attune::datasets
