#include <arrow/api.h>
#include <arrow/json/from_string.h>

#include "coordinator/datasets/sources/parquet_reader.h"
#include "tests/support/packed_files.h"
#include "tests/unit/sources/sources_fixture.h"

namespace attune::datasets {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// A column of JSON values as Arrow reads them.
std::shared_ptr<arrow::Array> Column(const std::shared_ptr<arrow::DataType>& type,
                                     const std::string& json) {
  auto array = arrow::json::ArrayFromJSONString(type, json);
  if (!array.ok()) CheckFailed(__FILE__, __LINE__, array.status().ToString().c_str());
  return *array;
}

class ParquetTest : public SourcesTest {
 protected:
  // The rows of a table of one column "x".
  std::vector<std::string> RowsOf(const std::shared_ptr<arrow::DataType>& type,
                                  const std::string& json) {
    auto table = arrow::Table::Make(arrow::schema({arrow::field("x", type)}), {Column(type, json)});
    return Rows("x.parquet", ParquetOf(*table));
  }
};

TEST_F(ParquetTest, ListsAndStructsAreMessages) {
  const std::string rows =
      R"({"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]})"
      "\n"
      R"({"messages":[{"role":"user","content":"\"Hm\"\n"}],"label":"odd"})"
      "\n"
      R"({"messages":[],"label":"none"})"
      "\n";
  for (const ParquetLayout& layout :
       {ParquetLayout{}, ParquetLayout{.rows_a_group = 1, .compressed = false},
        ParquetLayout{.dictionary = false}}) {
    EXPECT_THAT(
        Rows("a.parquet", ParquetOfRows(rows, layout)),
        ElementsAre(
            R"(1:{"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]})",
            R"(2:{"messages":[{"role":"user","content":"\"Hm\"\n"}],"label":"odd"})",
            R"(3:{"messages":[],"label":"none"})"));
  }
}

TEST_F(ParquetTest, AKeyThatAStructHasNotIsAbsent) {
  const std::string rows =
      R"({"m":[{"role":"assistant","calls":[{"name":"f","arguments":{"a":1}}]},{"role":"tool","content":"3"}]})"
      "\n"
      R"({"m":[{"role":"user","calls":[{"name":"g","arguments":{"b":[true,null]}}]}]})"
      "\n";
  EXPECT_THAT(
      Rows("a.parquet", ParquetOfRows(rows)),
      ElementsAre("1:" + rows.substr(0, rows.find('\n')),
                  "2:" + rows.substr(rows.find('\n') + 1, rows.size() - rows.find('\n') - 2)));
}

TEST_F(ParquetTest, NumbersKeepTheirValue) {
  EXPECT_THAT(RowsOf(arrow::int64(), "[-9223372036854775808, null, 7]"),
              ElementsAre(R"(1:{"x":-9223372036854775808})", "2:{}", R"(3:{"x":7})"));
  EXPECT_THAT(RowsOf(arrow::uint64(), "[18446744073709551615]"),
              ElementsAre(R"(1:{"x":18446744073709551615})"));
  EXPECT_THAT(RowsOf(arrow::int8(), "[-128]"), ElementsAre(R"(1:{"x":-128})"));
  EXPECT_THAT(RowsOf(arrow::float64(), "[0.1, 3, 1e300, NaN, -Inf]"),
              ElementsAre(R"(1:{"x":0.1})", R"(2:{"x":3.0})", R"(3:{"x":1e+300})",
                          R"(4:{"x":null})", R"(5:{"x":null})"));
  EXPECT_THAT(RowsOf(arrow::float32(), "[0.1]"), ElementsAre(R"(1:{"x":0.1})"));
  EXPECT_THAT(RowsOf(arrow::boolean(), "[true, false]"),
              ElementsAre(R"(1:{"x":true})", R"(2:{"x":false})"));
  EXPECT_THAT(RowsOf(arrow::decimal128(20, 2), R"(["123456789012345678.90", "-0.05"])"),
              ElementsAre(R"(1:{"x":"123456789012345678.90"})", R"(2:{"x":"-0.05"})"));
}

TEST_F(ParquetTest, TimesAreIso8601) {
  using arrow::TimeUnit;
  EXPECT_THAT(RowsOf(arrow::timestamp(TimeUnit::MILLI, "Europe/Berlin"),
                     R"([1764267964123, -1, 9223372036854775807])"),
              ElementsAre(R"(1:{"x":"2025-11-27T18:26:04.123Z"})",
                          R"(2:{"x":"1969-12-31T23:59:59.999Z"})", R"(3:{"x":null})"));
  EXPECT_THAT(RowsOf(arrow::timestamp(TimeUnit::MICRO), "[0]"),
              ElementsAre(R"(1:{"x":"1970-01-01T00:00:00"})"));
  EXPECT_THAT(RowsOf(arrow::date32(), "[20419, -719529]"),
              ElementsAre(R"(1:{"x":"2025-11-27"})", R"(2:{"x":null})"));
  EXPECT_THAT(RowsOf(arrow::time64(TimeUnit::MICRO), "[66364000500]"),
              ElementsAre(R"(1:{"x":"18:26:04.000500"})"));
}

TEST_F(ParquetTest, MapsAndDictionariesAndBytes) {
  EXPECT_THAT(RowsOf(arrow::map(arrow::utf8(), arrow::int32()), R"([[["a", 1], ["b", null]], []])"),
              ElementsAre(R"(1:{"x":{"a":1,"b":null}})", R"(2:{"x":{}})"));
  EXPECT_THAT(RowsOf(arrow::map(arrow::int32(), arrow::utf8()), R"([[[1, "a"]]])"),
              ElementsAre(R"(1:{"x":[[1,"a"]]})"));
  EXPECT_THAT(RowsOf(arrow::dictionary(arrow::int32(), arrow::utf8()), R"(["a", "b", "a", null])"),
              ElementsAre(R"(1:{"x":"a"})", R"(2:{"x":"b"})", R"(3:{"x":"a"})", "4:{}"));
  EXPECT_THAT(RowsOf(arrow::large_utf8(), R"(["a"])"), ElementsAre(R"(1:{"x":"a"})"));
  EXPECT_THAT(RowsOf(arrow::fixed_size_list(arrow::int32(), 2), "[[1, 2]]"),
              ElementsAre(R"(1:{"x":[1,2]})"));
  auto bytes = arrow::Table::Make(
      arrow::schema({arrow::field("x", arrow::binary())}),
      {*arrow::MakeArrayFromScalar(arrow::BinaryScalar(arrow::Buffer::FromString("\xFF\xFE")), 1)});
  EXPECT_THAT(Rows("x", ParquetOf(*bytes)), ElementsAre(R"(1:{"x":null})"));
  EXPECT_THAT(RowsOf(arrow::binary(), R"(["text"])"), ElementsAre(R"(1:{"x":"text"})"));
}

TEST_F(ParquetTest, ManyRowsComeInOrder) {
  std::string jsonl;
  for (int i = 0; i < 5000; ++i) jsonl += "{\"text\":\"row " + std::to_string(i) + "\"}\n";
  const auto rows = Rows("a.parquet", ParquetOfRows(jsonl, {.rows_a_group = 1500}));
  ASSERT_THAT(rows, SizeIs(5000));
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(rows[static_cast<size_t>(i)],
              std::to_string(i + 1) + ":{\"text\":\"row " + std::to_string(i) + "\"}");
  }
}

TEST_F(ParquetTest, ALongRowHasAProblem) {
  options_.row_bytes_max = 1 << 20;
  const std::string big(1 << 20, 'x');
  EXPECT_THAT(Rows("a.parquet", ParquetOfRows("{\"text\":\"" + big + "\"}\n{\"text\":\"b\"}\n")),
              ElementsAre("1! longer than 1 MiB", R"(2:{"text":"b"})"));
}

TEST_F(ParquetTest, WhatIsCutOffOrDamagedIsRefused) {
  const std::string good = ParquetOfRows("{\"text\":\"one\"}\n{\"text\":\"two\"}\n");
  for (size_t size = 4; size < good.size(); size += 7) {
    EXPECT_THAT(Refused("a.parquet", good.substr(0, size)), HasSubstr("a.parquet: "));
  }
  std::string huge = good;
  huge.replace(huge.size() - 8, 4, "\xFF\xFF\xFF\x7F");
  EXPECT_THAT(Refused("a.parquet", huge), HasSubstr("its index has 2047 MiB"));
  EXPECT_THAT(Refused("a.parquet", good.substr(0, good.size() - 4) + "PARE"),
              HasSubstr("encrypted"));
}

// Whatever byte is another: rows or a refusal, and nothing is left behind.
TEST_F(ParquetTest, NoChangedByteCrashesIt) {
  const std::string good = ParquetOfRows(
      "{\"messages\":[{\"role\":\"user\",\"content\":\"one\"}],\"n\":1}\n"
      "{\"messages\":[{\"role\":\"user\",\"content\":\"two\"}],\"n\":2}\n",
      {.compressed = false});
  int refused = 0;
  for (size_t at = 4; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x55);
    const Status status = Read("a.parquet", bad, bad.size());
    refused += status.ok() ? 0 : 1;
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kInvalidArgument) << status.ToString();
  }
  EXPECT_GT(refused, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

// A file without rows whose only column lies within so many groups. Its index is Thrift's compact
// protocol: a byte for a field's distance and type (5: i32, 6: i64, 8: text, 9: list, 12: struct),
// whole numbers doubled.
std::string NestedFile(uint32_t groups) {
  const auto varint = [](uint32_t value) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
    return bytes + static_cast<char>(value);
  };
  const auto group = std::string("\x35\x02\x18\x01g\x15\x02", 7) + '\0';  // optional, "g", 1 child
  const auto leaf = std::string("\x15\x0c\x25\x02\x18\x01x", 7) + '\0';   // bytes, optional, "x"
  std::string index = std::string("\x15\x02\x19\xfc", 4) + varint(groups + 2);
  index += std::string("\x48\x06schema\x15\x02", 10) + '\0';
  for (uint32_t i = 0; i < groups; ++i) index += group;
  index += leaf + std::string("\x16\x00\x19\x0c\x00", 5);  // no rows, no groups of them
  std::string size(4, '\0');
  for (size_t i = 0; i < 4; ++i) size[i] = static_cast<char>(index.size() >> 8 * i);
  return "PAR1" + index + size + "PAR1";
}

TEST_F(ParquetTest, ASchemaThatNestsDeepIsRefused) {
  EXPECT_THAT(Rows("a.parquet", NestedFile(kParquetNestingMax - 2)), SizeIs(0));
  for (const uint32_t groups : {kParquetNestingMax, 5'000, 9'000}) {
    EXPECT_THAT(Refused("a.parquet", NestedFile(groups)),
                HasSubstr("Parquet schema too deeply nested"));
  }
  // More elements than are read.
  EXPECT_THAT(Refused("a.parquet", NestedFile(800'000)), HasSubstr("damaged, or no Parquet"));
}

TEST_F(ParquetTest, TwoColumnsOfOneNameAreRefused) {
  auto x = arrow::field("x", arrow::utf8());
  auto column = Column(arrow::utf8(), R"(["a"])");
  auto table = arrow::Table::Make(arrow::schema({x, x}), {column, column});
  EXPECT_THAT(Refused("a.parquet", ParquetOf(*table)), HasSubstr("two columns named 'x'"));
}

// Few bytes that stand for many rows.
TEST_F(ParquetTest, ABombIsRefused) {
  auto nulls = *arrow::MakeArrayOfNull(arrow::utf8(), 2'000'000);
  auto table = arrow::Table::Make(arrow::schema({arrow::field("x", arrow::utf8())}), {nulls});
  uint64_t rows = 0;
  SourceReader reader({.folder = folder_.path()}, [&](const SourceRow&) {
    ++rows;
    return Status();
  });
  ASSERT_TRUE(reader.Append("x.parquet", ParquetOf(*table, {.rows_a_group = 2'000'000})).ok());
  EXPECT_THAT(reader.Finish().message(), HasSubstr("it grows to more than 250 times"));
  EXPECT_LT(rows, 2'000'000u);
}

}  // namespace
}  // namespace attune::datasets
