#pragma once

// What a shard's index and a version's report say of a line, known since the row was parsed.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "coordinator/datasets/example_table.h"
#include "coordinator/datasets/metadata.h"
#include "coordinator/datasets/row.h"

namespace attune::datasets {

struct LineFacts {
  ExampleId id;
  uint64_t hash = 0;           // HashOfLine
  uint64_t metadata_keys = 0;  // MetadataKeys::BitsOf
  uint32_t characters = 0;     // of Row::characters, at most 2^32 - 1
  RowKind kind = RowKind::kText;
};

// A version's metadata keys as bits: the first kMetadataKeysReported that come.
class MetadataKeys {
 public:
  uint64_t BitsOf(const Metadata& metadata);
  // The number of the key's bit; kMetadataKeysReported when there is none left.
  size_t BitOf(const std::string& key);
  const std::vector<std::string>& keys() const { return keys_; }  // by bit

 private:
  std::map<std::string, size_t> bits_;
  std::vector<std::string> keys_;
};

// hash: HashOfLine of the row's line, which the caller may know already.
LineFacts FactsOf(const Row& row, uint64_t hash, MetadataKeys* keys);

// How many lines have how many characters, exactly: half a megabyte and 64 bytes for each distinct
// length above 65,535.
class LengthCounts {
 public:
  void Add(uint32_t characters);
  uint32_t Median() const;  // of an even number the upper one; 0 when there are none
  uint32_t Max() const;

 private:
  std::vector<uint64_t> short_ = std::vector<uint64_t>(1 << 16);
  std::map<uint32_t, uint64_t> long_;
  uint64_t lines_ = 0;
};

}  // namespace attune::datasets
