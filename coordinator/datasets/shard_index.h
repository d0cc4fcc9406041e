#pragma once

// What is to be known of a shard's lines without reading them: SPLIT-HASH.ids beside
// SPLIT-HASH.jsonl, 28 bytes a line. It follows from the shard, names its checksum and carries one
// of its own, so one that is missing or damaged is made again from the shard.
//
// File, little-endian: "ATTUNIDX", u32 format (2), u32 metadata keys, u64 lines, u64 lines of each
// RowKind (format 1: of all but the last, kPreference), the shard's sha256 (64 digits); for each
// metadata key u32 bytes, key, u64 lines that have it; for each line u64 high and u64 low half of
// the id, u64 hash, u32 characters; the sha256 of all that (64 digits).

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/line_facts.h"
#include "coordinator/datasets/shard.h"

namespace attune::datasets {

struct IndexedLine {
  ExampleId id;
  uint64_t hash = 0;        // HashOfLine
  uint32_t characters = 0;  // at most 2^32 - 1
};

struct ShardIndex {
  std::string sha256;  // of the shard
  std::array<uint64_t, kRowKinds> kinds{};
  std::map<std::string, uint64_t> metadata_keys;  // of the first kMetadataKeysReported
  std::vector<IndexedLine> lines;
};

// The first 64 bits of the SHA-256 of a shard's line without its end: whether two lines of equal
// ids are equal in the order of keys and in metadata, too.
uint64_t HashOfLine(std::string_view line);

std::string FormatShardIndex(const ShardIndex& index);
// kDataLoss when it is not what FormatShardIndex wrote.
Result<ShardIndex> ParseShardIndex(std::string_view bytes);

// "train-0123456789abcdef.ids" of "train-0123456789abcdef.jsonl".
std::string IndexFileOf(const Shard& shard);

// From the shard's companion, or else from the shard itself. kDataLoss when that is damaged.
Result<ShardIndex> ReadShardIndex(const v1::DatasetVersion& version, const Shard& shard);

}  // namespace attune::datasets
