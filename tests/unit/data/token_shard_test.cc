#include "worker/engine/data/token_shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/support/temporary_folder.h"
#include "worker/engine/data/shard_writer.h"
#include "worker/engine/data/token_file.h"

namespace attune::engine {
namespace {

struct Example {
  std::vector<uint32_t> tokens;
  std::vector<uint8_t> targets;
  std::vector<uint8_t> id;
};

Example MakeExample(uint32_t length, uint8_t id) {
  Example example;
  for (uint32_t i = 0; i < length; ++i) example.tokens.push_back(100 * id + i);
  example.targets.assign(length, 1);
  example.targets[0] = 0;
  example.id.assign(16, id);
  return example;
}

void WriteShard(const std::filesystem::path& file, const std::vector<Example>& examples) {
  auto writer = ShardWriter::Create(file);
  ASSERT_TRUE(writer.ok());
  for (const Example& e : examples) ASSERT_TRUE(writer->Add(e.tokens, e.targets, e.id).ok());
  ASSERT_TRUE(writer->Commit().ok());
}

std::string Content(const std::filesystem::path& file) {
  return *ReadFile(file);
}

// The footer's checksums made right again, as an attacker would. index: where it starts.
void Resign(std::string* content, uint64_t index) {
  const size_t sums = content->size() - 128;
  content->replace(sums, 64, Sha256Hex(std::string_view(*content).substr(0, index)));
  content->replace(sums + 64, 64,
                   Sha256Hex(std::string_view(*content).substr(index, sums + 64 - index)));
}

Status OpenContent(const TemporaryFolder& folder, const std::string& content) {
  auto file = folder.path() / "changed.tokens";
  std::ofstream(file, std::ios::binary) << content;
  return TokenShard::Open(file).status();
}

TEST(TokenShard, GivesBackWhatWasWritten) {
  TemporaryFolder folder;
  std::vector<Example> examples = {MakeExample(2, 1), MakeExample(5, 2), MakeExample(8, 3)};
  WriteShard(folder.path() / "a.tokens", examples);
  auto shard = TokenShard::Open(folder.path() / "a.tokens");
  ASSERT_TRUE(shard.ok()) << shard.status().ToString();
  ASSERT_EQ((*shard)->size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    TokenExample example = (*shard)->Example(i);
    EXPECT_TRUE(std::ranges::equal(example.tokens, examples[i].tokens));
    EXPECT_TRUE(std::ranges::equal(example.targets, examples[i].targets));
    EXPECT_TRUE(std::ranges::equal(example.id, examples[i].id));
  }
  EXPECT_THAT((*shard)->lengths(), testing::ElementsAre(2, 5, 8));
  EXPECT_THAT((*shard)->target_counts(), testing::ElementsAre(1, 4, 7));
}

TEST(TokenShard, MayBeEmpty) {
  TemporaryFolder folder;
  WriteShard(folder.path() / "a.tokens", {});
  auto shard = TokenShard::Open(folder.path() / "a.tokens");
  ASSERT_TRUE(shard.ok()) << shard.status().ToString();
  EXPECT_EQ((*shard)->size(), 0u);
}

TEST(TokenShard, IsNotThereWithoutCommit) {
  TemporaryFolder folder;
  {
    auto writer = ShardWriter::Create(folder.path() / "a.tokens");
    Example e = MakeExample(3, 1);
    ASSERT_TRUE(writer->Add(e.tokens, e.targets, e.id).ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(TokenShard, RefusesEveryFlippedByteAndEveryTruncation) {
  TemporaryFolder folder;
  WriteShard(folder.path() / "a.tokens", {MakeExample(3, 1), MakeExample(6, 2)});
  const std::string content = Content(folder.path() / "a.tokens");
  for (size_t i = 0; i < content.size(); ++i) {
    std::string changed = content;
    changed[i] = static_cast<char>(changed[i] ^ 0x41);
    ASSERT_EQ(OpenContent(folder, changed).code(), StatusCode::kDataLoss) << "byte " << i;
    ASSERT_EQ(OpenContent(folder, content.substr(0, i)).code(), StatusCode::kDataLoss) << i;
  }
}

TEST(TokenShard, RefusesSignedLies) {
  TemporaryFolder folder;
  WriteShard(folder.path() / "a.tokens", {MakeExample(3, 1), MakeExample(6, 2)});
  const std::string content = Content(folder.path() / "a.tokens");
  const size_t footer = content.size() - kShardFooterBytes;
  uint64_t index;
  std::memcpy(&index, content.data() + footer + 16, sizeof index);
  struct Lie {
    const char* what;
    size_t at;
    uint64_t value;
    size_t size;
  };
  const Lie lies[] = {
      {"examples", footer, 1ull << 60, 8},
      {"examples", footer, 0, 8},
      {"tokens", footer + 8, 1ull << 63, 8},
      {"index before the header", footer + 16, 0, 8},
      {"index beyond the file", footer + 16, ~0ull, 8},
      {"index not aligned", footer + 16, index + 1, 8},
      {"notes before the index", footer + 24, index - 4, 8},
      {"notes beyond the file", footer + 24, ~0ull, 8},
      {"an example that starts elsewhere", index + 16, 8, 4},
      {"no target", index + 8, 0, 4},
      {"as many targets as tokens", index + 8, 3, 4},
      {"length of nothing", index, 0, 4},
      {"length beyond the file", index, 0xffffffff, 4},
      {"length of another", index, 4, 4},
      {"count of targets", index + 8, 1, 4},
      {"a target of 2", kShardHeaderBytes + 13, 2, 1},
      {"a target at the start", kShardHeaderBytes + 12, 1, 1},
      {"a token larger than the largest", kShardHeaderBytes, 1u << 30, 4},
  };
  for (const Lie& lie : lies) {
    std::string changed = content;
    std::memcpy(changed.data() + lie.at, &lie.value, lie.size);
    Resign(&changed, index);
    EXPECT_EQ(OpenContent(folder, changed).code(), StatusCode::kDataLoss) << lie.what;
  }
  std::string same = content;
  Resign(&same, index);
  EXPECT_EQ(same, content);
  EXPECT_TRUE(OpenContent(folder, same).ok());
}

TEST(TokenFile, IsReadWholeOnlyWhenAskedAndKeepsNotes) {
  TemporaryFolder folder;
  const auto file = folder.path() / "a.tokens";
  auto writer = ShardWriter::Create(file);
  ASSERT_TRUE(writer.ok());
  const Example e = MakeExample(5, 1);
  ASSERT_TRUE(writer->Add(e.tokens, e.targets, e.id).ok());
  ASSERT_TRUE(writer->Commit("to whom it concerns").ok());
  EXPECT_EQ(TokenFile::Open(file).value()->notes(), "to whom it concerns");
  EXPECT_TRUE(TokenFile::Open(file).value()->CheckExamples().ok());
  std::string changed = Content(file);
  changed[kShardHeaderBytes] ^= 1;
  std::ofstream(file, std::ios::binary) << changed;
  const auto opened = TokenFile::Open(file);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ((*opened)->CheckExamples().code(), StatusCode::kDataLoss);
}

TEST(Join, ShowsFilesAsOne) {
  TemporaryFolder folder;
  const std::vector<std::vector<Example>> parts = {
      {MakeExample(2, 1)}, {}, {MakeExample(5, 2), MakeExample(8, 3)}, {}};
  std::vector<std::shared_ptr<const TokenFile>> files;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto file = folder.path() / std::to_string(i);
    WriteShard(file, parts[i]);
    files.push_back(TokenFile::Open(file).value());
  }
  const auto joined = Join(files).value();
  EXPECT_THAT(joined->lengths(), testing::ElementsAre(2, 5, 8));
  EXPECT_THAT(joined->target_counts(), testing::ElementsAre(1, 4, 7));
  for (uint8_t i = 0; i < 3; ++i) {
    const Example e = MakeExample(2 + 3 * i, i + 1);
    EXPECT_TRUE(std::ranges::equal(joined->Example(i).tokens, e.tokens));
    EXPECT_TRUE(std::ranges::equal(joined->Example(i).id, e.id));
  }
  EXPECT_EQ(Join({}).value()->size(), 0u);
}

}  // namespace
}  // namespace attune::engine
