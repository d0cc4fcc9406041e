#include <arrow/table.h>

#include "common/base/hash.h"
#include "tests/support/packed_files.h"
#include "tests/unit/sources/sources_fixture.h"

namespace attune::datasets {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kRows[] = "{\"text\": \"one\"}\n\n{\"text\": \"two\"}\n";
constexpr char kCsv[] = "text\none\ntwo\n";

TEST_F(SourcesTest, TheSameRowsPlainAndPackedHoweverTheBytesAreCut) {
  for (const std::string& bytes : {std::string(kRows), Gzip(kRows), Zstd(kRows)}) {
    for (size_t piece = 1; piece <= bytes.size(); ++piece) {
      EXPECT_THAT(Rows("rows", bytes, piece),
                  ElementsAre(R"(1:{"text": "one"})", R"(3:{"text": "two"})"));
    }
  }
}

TEST_F(SourcesTest, EachFileIsDescribed) {
  const std::string packed = Zstd(kCsv);
  EXPECT_THAT(Rows("rows.csv.zst", packed),
              ElementsAre(R"(2:{"text":"one"})", R"(3:{"text":"two"})"));
  ASSERT_EQ(files_.size(), 1u);
  EXPECT_EQ(files_[0].name(), "rows.csv.zst");
  EXPECT_EQ(files_[0].format(), "csv");
  EXPECT_EQ(files_[0].compression(), "zstd");
  EXPECT_EQ(files_[0].bytes(), packed.size());
  EXPECT_EQ(files_[0].rows(), 2u);
  EXPECT_EQ(files_[0].sha256(), Sha256Hex(packed));
}

TEST_F(SourcesTest, FilesFollowEachOther) {
  std::vector<std::string> rows;
  SourceReader reader({.folder = folder_.path()}, [&](const SourceRow& row) {
    rows.push_back(std::to_string(row.file) + "/" + std::to_string(row.number));
    return Status();
  });
  ASSERT_TRUE(reader.Append("a", kRows).ok());
  ASSERT_TRUE(reader.Append("b", Gzip(kCsv)).ok());
  ASSERT_TRUE(reader.Append("c", ParquetOfRows(kRows)).ok());
  ASSERT_TRUE(reader.Append("d", "{}").ok());  // no line feed
  ASSERT_TRUE(reader.Finish().ok());
  EXPECT_THAT(rows, ElementsAre("0/1", "0/3", "1/2", "1/3", "2/1", "2/2", "3/1"));
  ASSERT_EQ(reader.files().size(), 4u);
  reader.NoteShape(0, "text");
  reader.NoteShape(0, "text");
  reader.NoteShape(1, "text");
  reader.NoteShape(1, "messages");
  EXPECT_EQ(reader.files()[0].shape(), "text");
  EXPECT_EQ(reader.files()[1].shape(), "mixed");
  EXPECT_EQ(reader.files()[2].shape(), "");
}

TEST_F(SourcesTest, MembersOfAGzipFileAreOneContent) {
  EXPECT_THAT(Rows("rows", Gzip("{\"a\"") + Gzip(": 1}\n") + Gzip("") + Gzip("{}")),
              ElementsAre(R"(1:{"a": 1})", "2:{}"));
  EXPECT_THAT(Rows("rows", Zstd("{\"a\"") + Zstd(": 1}\n")), ElementsAre(R"(1:{"a": 1})"));
}

TEST_F(SourcesTest, WhatWasCutOffIsAnErrorAndNoRow) {
  for (const std::string& packed : {Gzip(kRows), Zstd(kRows)}) {
    for (size_t size = size_t{4}; size < packed.size(); ++size) {
      EXPECT_THAT(Refused("rows.jsonl", packed.substr(0, size)),
                  HasSubstr("rows.jsonl: cut off in the middle"));
    }
  }
}

TEST_F(SourcesTest, WhatIsDamagedIsAnError) {
  std::string damaged = Gzip(kRows);
  damaged[damaged.size() - 5] ^= 1;  // of its checksum
  EXPECT_THAT(Refused("rows.gz", damaged), HasSubstr("rows.gz: its gzip data is damaged"));
  EXPECT_THAT(Refused("rows.gz", Gzip(kRows) + "more"), HasSubstr("damaged"));
  EXPECT_THAT(Refused("rows.zst", Zstd(kRows) + "more"), HasSubstr("damaged"));
  EXPECT_THAT(Refused("rows.xz", std::string("\xFD\x37zXZ\0\0\0\0\0\0\0", 12)),
              HasSubstr("xz is not read"));
}

TEST_F(SourcesTest, ABombIsRefused) {
  const std::string zeros(1 << 20, '0');
  for (const std::string& packed : {Zstd(zeros), Gzip(zeros)}) {
    std::string bomb;
    for (int i = 0; i < 70; ++i) bomb += packed;
    EXPECT_THAT(Refused("rows.gz", bomb), HasSubstr("rows.gz: it grows to more than 250"));
  }
  // One that stays below is a line that is too long, in little memory.
  const std::string line(9 << 20, '0');
  EXPECT_THAT(Rows("rows.gz", Gzip(line)), ElementsAre("1! longer than 8 MiB"));
}

TEST_F(SourcesTest, AnEmptyFileHasNoRows) {
  EXPECT_THAT(Rows("rows.jsonl", ""), IsEmpty());
  EXPECT_THAT(Rows("rows.jsonl.gz", Gzip("")), IsEmpty());
  EXPECT_THAT(Rows("rows.csv", " \n"), IsEmpty());
}

TEST_F(SourcesTest, TheFormatThatIsAskedForWins) {
  options_.format = Format::kJsonl;
  EXPECT_THAT(Rows("rows.csv", kCsv), ElementsAre("1:text", "2:one", "3:two"));
  options_.format = Format::kParquet;
  EXPECT_THAT(Refused("rows.csv", kCsv), HasSubstr("does not end as a Parquet file does"));
}

TEST_F(SourcesTest, WhatTheHandlerSaysEndsIt) {
  SourceReader reader({.folder = folder_.path()},
                      [&](const SourceRow&) { return ResourceExhausted("the disk is full"); });
  const Status status = reader.Append("rows", kRows);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "the disk is full");
}

TEST_F(SourcesTest, WhoGivesItUpEndsIt) {
  bool cancelled = false;
  SourceReader reader(
      {.folder = folder_.path(), .cancelled = CancelCheck([&] { return cancelled; })},
      [](const SourceRow&) { return Status(); });
  ASSERT_TRUE(reader.Append("rows", ParquetOfRows(kRows)).ok());
  cancelled = true;
  EXPECT_EQ(reader.Finish().code(), StatusCode::kCancelled);
  EXPECT_EQ(reader.Append("rows", "{}").code(), StatusCode::kCancelled);
}

TEST_F(SourcesTest, AnImportHasSoManyFiles) {
  SourceReader reader({.folder = folder_.path()}, [](const SourceRow&) { return Status(); });
  for (int i = 0; i < kSourcesMax; ++i) {
    ASSERT_TRUE(reader.Append(std::to_string(i), "{}\n").ok());
  }
  EXPECT_THAT(reader.Append("more", "{}\n").message(), HasSubstr("more than 10000 files"));
}

}  // namespace
}  // namespace attune::datasets
