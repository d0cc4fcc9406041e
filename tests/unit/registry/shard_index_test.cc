#include "coordinator/datasets/shard_index.h"

#include <gmock/gmock.h>

#include "common/base/hash.h"

namespace attune::datasets {
namespace {

constexpr size_t kFormatAt = 8, kKindsAt = 24, kDigestBytes = 64;

ShardIndex Sample() {
  ShardIndex index;
  index.sha256 = Sha256Hex("a shard");
  index.kinds = {1, 2, 3, 4, 0};
  index.metadata_keys = {{"language", 2}};
  index.lines = {{{1, 2}, 3, 4}, {{5, 6}, 7, 8}};
  return index;
}

// As it was written while there were no preferences.
std::string InFormat1(const ShardIndex& index) {
  std::string bytes = FormatShardIndex(index);
  bytes.resize(bytes.size() - kDigestBytes);
  bytes[kFormatAt] = 1;
  bytes.erase(kKindsAt + static_cast<size_t>(RowKind::kPreference) * sizeof(uint64_t),
              sizeof(uint64_t));
  return bytes + Sha256Hex(bytes);
}

TEST(ShardIndex, IsReadAsItWasWritten) {
  ShardIndex index = Sample();
  index.kinds[static_cast<size_t>(RowKind::kPreference)] = 5;
  Result<ShardIndex> read = ParseShardIndex(FormatShardIndex(index));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->kinds, index.kinds);
  EXPECT_EQ(read->metadata_keys, index.metadata_keys);
  ASSERT_EQ(read->lines.size(), 2u);
  EXPECT_EQ(read->lines[1].id, (ExampleId{5, 6}));
}

TEST(ShardIndex, OneFromBeforeThereWerePreferencesIsRead) {
  Result<ShardIndex> read = ParseShardIndex(InFormat1(Sample()));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(FormatShardIndex(*read), FormatShardIndex(Sample()));
}

TEST(ShardIndex, RefusesAnotherFormat) {
  std::string bytes = FormatShardIndex(Sample());
  bytes.resize(bytes.size() - kDigestBytes);
  bytes[kFormatAt] = 3;
  EXPECT_EQ(ParseShardIndex(bytes + Sha256Hex(bytes)).status().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace attune::datasets
