#include "coordinator/datasets/metadata.h"

#include <gmock/gmock.h>

#include "coordinator/datasets/row.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

Row Parse(const std::string& keys) {
  Result<Row> row = ParseRow("{\"text\":\"t\"," + keys + "}");
  EXPECT_TRUE(row.ok()) << row.status().ToString();
  return row.ok() ? *row : Row();
}

TEST(Metadata, ScalarsOfTheObjectAndOfTheWellKnownKeys) {
  const Row row = Parse(R"("source":"web","label":true,"timestamp":1700000000,"tenant":null,)"
                        R"("metadata":{"score":0.5,"topic":"né","empty":""})");
  EXPECT_THAT(row.metadata, ElementsAre(Pair("empty", ""), Pair("label", "true"),
                                        Pair("score", "0.5"), Pair("source", "web"),
                                        Pair("timestamp", "1700000000"), Pair("topic", "né")));
  EXPECT_THAT(row.ignored_keys, IsEmpty());
}

TEST(Metadata, WhatIsNoScalarIsNamedAndTheRowKept) {
  const Row row = Parse(R"("source":["a"],"language":{"code":"en"},"other":1,)"
                        R"("metadata":{"tags":["x"],"nested":{},"none":null,"kept":"k"})");
  EXPECT_THAT(row.metadata, ElementsAre(Pair("kept", "k")));
  EXPECT_THAT(row.ignored_keys, UnorderedElementsAre("other", "source", "language", "metadata.tags",
                                                     "metadata.nested"));
  EXPECT_THAT(Parse(R"("metadata":"x")").ignored_keys, ElementsAre("metadata"));
  EXPECT_THAT(Parse(R"("metadata":null)").ignored_keys, IsEmpty());
}

TEST(Metadata, AWellKnownKeyWinsOverTheObjectsOwn) {
  const Row row = Parse(R"("metadata":{"source":"inner"},"source":"outer")");
  EXPECT_THAT(row.metadata, ElementsAre(Pair("source", "outer")));
  EXPECT_THAT(row.ignored_keys, ElementsAre("metadata.source"));
}

TEST(Metadata, LimitsLeaveTheRowAndNameTheKey) {
  const std::string key(kMetadataKeyBytesMax, 'k'), value(kMetadataValueBytesMax, 'v');
  const Row within = Parse("\"metadata\":{\"" + key + "\":\"" + value + "\"}");
  EXPECT_THAT(within.metadata, ElementsAre(Pair(key, value)));
  const Row beyond = Parse("\"metadata\":{\"" + key + "k\":1,\"\":1,\"v\":\"" + value + "v\"}");
  EXPECT_THAT(beyond.metadata, IsEmpty());
  EXPECT_THAT(beyond.ignored_keys, ElementsAre("metadata." + key + "k", "metadata.", "metadata.v"));

  std::string many = "\"metadata\":{";
  for (size_t i = 0; i < kMetadataKeysMax; ++i) many += "\"key" + std::to_string(i) + "\":1,";
  const Row full = Parse(many + "\"last\":1},\"language\":\"en\"");
  EXPECT_EQ(full.metadata.size(), kMetadataKeysMax);
  EXPECT_EQ(full.metadata.at("language"), "en") << "the well-known are not crowded out";
  EXPECT_THAT(full.ignored_keys, ElementsAre("metadata.key31", "metadata.last"));
}

TEST(Metadata, IsNoPartOfTheExample) {
  const Row plain = *ParseRow(R"({"text":"t"})");
  const Row row = Parse(R"("metadata":{"b":"2","a":"1"})");
  EXPECT_EQ(row.id, plain.id);
  EXPECT_EQ(row.content, plain.content);
  EXPECT_EQ(ShardLine(row), "{\"id\":\"" + row.id +
                                "\",\"kind\":\"text\",\"text\":\"t\","
                                "\"metadata\":{\"a\":\"1\",\"b\":\"2\"}}\n");
}

TEST(Metadata, AShardsLineReadsBack) {
  for (const char* line : {
           R"({"text":"héllo"})",
           R"({"prompt":"p","completion":"c","source":"s"})",
           R"({"prompt":[{"role":"user","content":"q"}],"tools":[{"name":"f"}],
               "completion":[{"role":"assistant","content":"a"}],"metadata":{"k":"\"\n"}})",
           R"({"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})",
           R"({"prompt":"p","language":"de"})",
           R"({"prompt":[{"role":"user","content":"q"}]})",
           R"({"messages":[{"role":"user","content":"q"}],"tools":[]})",
       }) {
    const Row row = *ParseRow(line, /*allow_unlabelled=*/true);
    std::string stored = ShardLine(row);
    stored.pop_back();
    Result<Row> back = ParseShardLine(stored);
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    EXPECT_EQ(back->id, row.id);
    EXPECT_EQ(back->kind, row.kind) << stored;
    EXPECT_EQ(back->characters, row.characters) << stored;
    EXPECT_EQ(back->metadata, row.metadata);
    EXPECT_EQ(*IdOfShardLine(stored), row.id);
    // An export of it is an import that keeps its id.
    Result<Row> again = ParseRow(stored, /*allow_unlabelled=*/true);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(ShardLine(*again), ShardLine(row));
  }
}

TEST(Metadata, WhatIsNoShardsLineIsDataLoss) {
  const std::string id = "{\"id\":\"" + std::string(32, '0') + "\"";
  for (const std::string& line :
       {std::string(), std::string("{"), std::string(R"({"text":"t"})"),
        std::string(R"({"id":"xyz","kind":"text","text":"t"})"), id, id + "}",
        id + R"(,"kind":"text"})", id + R"(,"kind":"prompt","text":"t"})",
        id + R"(,"kind":"messages","messages":[]})", id + R"(,"kind":"text","text":"t")"}) {
    EXPECT_EQ(ParseShardLine(line).status().code(), StatusCode::kDataLoss) << line;
  }
}

TEST_F(CatalogTest, CountsExamplesByMetadataKey) {
  const v1::DatasetVersion version =
      MustImport(Header("docs"),
                 "{\"text\":\"a\",\"source\":\"x\"}\n"
                 "{\"text\":\"a\",\"source\":\"y\"}\n"  // a duplicate: the first one's stays
                 "{\"text\":\"b\",\"source\":\"y\",\"metadata\":{\"k\":1,\"bad\":[]}}\n");
  EXPECT_EQ(version.metadata_keys().at("source"), 2u);
  EXPECT_EQ(version.metadata_keys().at("k"), 1u);
  EXPECT_EQ(version.metadata_keys().size(), 2u);
  EXPECT_EQ(version.ignored_keys().at("metadata.bad"), 1u);
  EXPECT_THAT(Lines("docs"), ::testing::Contains(HasSubstr(R"("metadata":{"source":"x"}})")));
}

}  // namespace
}  // namespace attune::datasets
