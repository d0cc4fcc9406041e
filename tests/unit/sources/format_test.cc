#include "coordinator/datasets/sources/format.h"

#include <gmock/gmock.h>

#include "coordinator/datasets/sources/unpack.h"

namespace attune::datasets {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

TEST(Format, IsToldByWhatAFileBeginsWithAndThenByItsName) {
  const struct {
    const char* head;
    const char* file;
    Format format;
  } kCases[] = {
      {"PAR1....", "rows.jsonl", Format::kParquet},
      {"{\"text\": \"a\"}", "rows.csv", Format::kJsonl},
      {"\xEF\xBB\xBF \n{\"text\"", "rows", Format::kJsonl},
      {"[{\"text\"", "rows.json", Format::kJsonl},
      {"question,answer\n", "rows.csv", Format::kCsv},
      {"question,answer\n", "dir/Rows.CSV.GZ", Format::kCsv},
      {"question,answer\n", "dir.csv/rows", Format::kJsonl},
      {"question\tanswer\n", "rows.TSV.zst", Format::kCsv},
      {"id\ttext\n", "standard input", Format::kCsv},
      {"id|\"chosen\"|rejected\n", "standard input", Format::kCsv},
      {"id,\"text\"\r\n1,a", "standard input", Format::kCsv},
      {"prompt,completion\n", "rows.jsonl", Format::kCsv},
      {"no, this is nothing\n", "rows", Format::kJsonl},
      {"", "rows.csv", Format::kJsonl},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(FormatOf(c.head, /*all=*/true, c.file), Optional(c.format)) << c.head << c.file;
  }
}

TEST(Format, WaitsForWhatTells) {
  EXPECT_EQ(FormatOf("PA", false, "rows"), std::nullopt);
  EXPECT_EQ(FormatOf("prompt,comp", false, "rows"), std::nullopt);
  EXPECT_EQ(FormatOf("\n\n   ", false, "rows"), std::nullopt);
  EXPECT_THAT(FormatOf(std::string(kFormatHead, 'x'), false, "rows"), Optional(Format::kJsonl));
}

TEST(Format, HasThreeNames) {
  EXPECT_EQ(*ParseFormat(""), std::nullopt);
  for (Format format : {Format::kJsonl, Format::kCsv, Format::kParquet}) {
    EXPECT_THAT(*ParseFormat(FormatName(format)), Optional(format));
  }
  EXPECT_THAT(ParseFormat("xlsx").status().message(), HasSubstr("jsonl, csv or parquet"));
}

TEST(Delimiter, IsWhatSplitsTheHeaderIntoTheMostColumns) {
  const struct {
    const char* head;
    const char* file;
    char delimiter;
  } kCases[] = {
      {"a,b\n", "rows.csv", ','},
      {"a;b;c,d\n", "rows.csv", ';'},
      {"a|b\r\n1,2,3", "rows.csv", '|'},
      {"\xEF\xBB\xBF\n\r\na\tb\n", "rows.csv", '\t'},
      {"\"a,b,c\";d\n", "rows.csv", ';'},
      {"\"a \"\",,\"\"\";\"b\n,,\"\n1,2", "rows.csv", ';'},
      {"5\" disk;a,b;c\n", "rows.csv", ';'},  // a quote within a value opens none
      {"text\n1;2;3", "rows.csv", ','},
      {"a;b\tc\n", "rows.csv", ','},
      {"text\n", "dir/rows.tsv.gz", '\t'},
      {"a,b;c\n", "rows.tsv", '\t'},
      {"a,b\n", "rows.tsv", ','},
      {"", "rows.csv", ','},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(DelimiterOf(c.head, /*all=*/true, c.file), Optional(c.delimiter)) << c.head;
  }
  EXPECT_EQ(DelimiterOf("a,b", false, "rows.csv"), std::nullopt);
  EXPECT_EQ(DelimiterOf("\"a\n", false, "rows.csv"), std::nullopt);
  EXPECT_THAT(DelimiterOf(std::string(kFormatHead, 'x'), false, "rows.csv"), Optional(','));
}

TEST(Delimiter, HasFourNames) {
  EXPECT_EQ(*ParseDelimiter(""), std::nullopt);
  for (const char c : {',', '\t', ';', '|'}) {
    EXPECT_THAT(*ParseDelimiter(DelimiterName(c)), Optional(c));
  }
  EXPECT_THAT(ParseDelimiter(";").status().message(),
              HasSubstr("comma, tab, semicolon or pipe, not ';'"));
}

TEST(Compression, IsToldByMagicBytes) {
  EXPECT_EQ(*CompressionOf("\x1F\x8B\x08"), Compression::kGzip);
  EXPECT_EQ(*CompressionOf("\x28\xB5\x2F\xFD"), Compression::kZstd);
  EXPECT_EQ(*CompressionOf("BZh is how it begins"), Compression::kNone);
  EXPECT_EQ(*CompressionOf(""), Compression::kNone);
  EXPECT_THAT(CompressionOf("BZh91AY&SY").status().message(), HasSubstr("bzip2 is not read"));
  EXPECT_THAT(CompressionOf("\xFD\x37zXZ").status().message(), HasSubstr("xz is not read"));
  EXPECT_THAT(CompressionOf("PK\x03\x04...").status().message(), HasSubstr("zip is not read"));
}

TEST(Bomb, GrowsMoreThanTextDoes) {
  EXPECT_FALSE(IsBomb(1, 64 << 20));
  EXPECT_TRUE(IsBomb(1000, (64 << 20) + 1));
  EXPECT_FALSE(IsBomb(10 << 20, uint64_t{2000} << 20));
}

}  // namespace
}  // namespace attune::datasets
