// Rows without an answer.

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "coordinator/datasets/row.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

Result<Row> Parse(const std::string& line) {
  return ParseRow(line, /*allow_unlabelled=*/true);
}

TEST(ParseUnlabelledRow, KeepsThePromptOrTheMessages) {
  Result<Row> prompt = Parse(R"({"prompt":"why?","completion":null,"source":"web"})");
  ASSERT_TRUE(prompt.ok()) << prompt.status().ToString();
  EXPECT_EQ(prompt->kind, RowKind::kPrompt);
  EXPECT_EQ(prompt->content, R"({"prompt":"why?"})");
  EXPECT_EQ(prompt->characters, 4u);
  EXPECT_EQ(prompt->metadata.at("source"), "web");
  EXPECT_EQ(Parse(R"({"prompt":"why?","completion":" "})")->id, prompt->id);

  const std::string chat = R"({"prompt":[{"role":"user","content":"q"}],"tools":[{"name":"f"}]})";
  EXPECT_EQ(Parse(chat)->content, chat);
  const std::string messages = R"({"messages":[{"role":"user","content":"q"}]})";
  EXPECT_EQ(Parse(messages)->kind, RowKind::kPrompt);
  EXPECT_EQ(Parse(messages)->content, messages);
  EXPECT_EQ(Parse(R"({"conversations":[{"from":"human","value":"q"}]})")->content, messages);
}

TEST(ParseUnlabelledRow, WhatHasAnAnswerIsLabelledAsEver) {
  for (const char* line :
       {R"({"prompt":"p","completion":"c"})", R"({"text":"t","prompt":"p"})",
        R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})"}) {
    ASSERT_TRUE(Parse(line).ok()) << line;
    EXPECT_EQ(ShardLine(*Parse(line)), ShardLine(*ParseRow(line))) << line;
    EXPECT_NE(Parse(line)->kind, RowKind::kPrompt);
  }
}

TEST(ParseUnlabelledRow, RefusesWhatAsksNothing) {
  EXPECT_THAT(Parse(R"({"prompt":" "})").status().message(), HasSubstr("prompt is empty"));
  EXPECT_THAT(Parse(R"({"prompt":5})").status().message(), HasSubstr("a string or a list"));
  EXPECT_THAT(Parse(R"({"prompt":[]})").status().message(), HasSubstr("prompt is empty"));
  EXPECT_THAT(Parse(R"({"prompt":[{"role":"user","content":""}]})").status().message(),
              HasSubstr("prompt is empty"));
  EXPECT_THAT(Parse(R"({"messages":[{"role":"user","content":""}]})").status().message(),
              HasSubstr("messages say nothing"));
  EXPECT_THAT(Parse(R"({"completion":"c"})").status().message(), HasSubstr("without prompt"));
  EXPECT_THAT(Parse(R"({"prompt":"p","completion":5})").status().message(),
              HasSubstr("two strings"));
}

std::string PromptRows(int from, int to) {
  std::string rows;
  for (int i = from; i < to; ++i) rows += "{\"prompt\":\"ask " + std::to_string(i) + "\"}\n";
  return rows;
}

v1::ImportDatasetRequest::Header Allowing(v1::ImportDatasetRequest::Header header) {
  header.set_allow_unlabelled(true);
  return header;
}

TEST_F(CatalogTest, UnlabelledRowsAreRejectedUnlessAllowed) {
  const v1::DatasetVersion version = MustImport(Header("docs"), TextRows(0, 40) + PromptRows(0, 3));
  EXPECT_EQ(version.rejected(), 3u);
  EXPECT_EQ(version.unlabelled(), 0u);
  EXPECT_FALSE(version.examples().contains("unlabelled"));
}

TEST(ParseUnlabelledRow, NamesTheKeyThatLooksLikeItsAnswer) {
  EXPECT_EQ(Parse(R"({"prompt":"p","Response":"r"})")->likely_answer, "Response");
  EXPECT_EQ(Parse(R"({"messages":[{"role":"user","content":"q"}],"output":["a"]})")->likely_answer,
            "output");
  for (const char* line : {R"({"prompt":"p","response":" "})", R"({"prompt":"p","output":null})",
                           R"({"prompt":"p","id":"7","label":"good"})",
                           R"({"prompt":"p","completion":"c","response":"r"})"}) {
    EXPECT_EQ(Parse(line)->likely_answer, "") << line;
  }
  EXPECT_THAT(ParseRow(R"({"prompt":"p","response":"r"})").status().message(),
              HasSubstr("without completion: if 'response' is its answer, name that key"));
}

// Such rows would be kept apart without a word, and nothing would ever be learned of them.
TEST_F(CatalogTest, RowsWhoseAnswerHasAnotherNameAreRejectedThoughUnlabelledOnesAreAllowed) {
  const v1::DatasetVersion version =
      MustImport(Allowing(Header("docs")),
                 TextRows(0, 40) + PromptRows(0, 3) + "{\"prompt\":\"p\",\"response\":\"r\"}\n");
  EXPECT_EQ(version.unlabelled(), 3u);
  ASSERT_EQ(version.rejected(), 1u);
  EXPECT_THAT(version.rejected_rows(0).reason(), HasSubstr("if 'response' is its answer"));
}

TEST_F(CatalogTest, UnlabelledRowsLieInASplitOfTheirOwn) {
  const v1::DatasetVersion version =
      MustImport(Allowing(Header("docs")), PromptRows(0, 30) + TextRows(0, 40) + PromptRows(0, 2));
  EXPECT_EQ(version.unlabelled(), 30u);
  EXPECT_EQ(version.examples().at("unlabelled"), 30u);
  EXPECT_EQ(version.examples().at("train") + version.examples().at("validation"), 40u);
  EXPECT_EQ(version.duplicates(), 2u);
  EXPECT_EQ(version.rejected(), 0u);
  EXPECT_EQ(version.shape(), "text");
  EXPECT_THAT(Files("datasets/docs/1"),
              UnorderedElementsAre(
                  "manifest.json", "train-HASH.jsonl", "train-HASH.ids", "train-HASH.minhash",
                  "unlabelled-HASH.jsonl", "unlabelled-HASH.ids", "unlabelled-HASH.minhash",
                  "validation-HASH.jsonl", "validation-HASH.ids", "validation-HASH.minhash"));
  auto manifest =
      nlohmann::json::parse(*ReadFile(storage_.path() / "datasets/docs/1/manifest.json"));
  EXPECT_EQ(manifest["shards"][2]["split"], "unlabelled");
  EXPECT_EQ(manifest["shards"][2]["examples"], 30);
  EXPECT_EQ(Ids("docs", "unlabelled").size(), 30u);
}

TEST_F(CatalogTest, AVersionMayBeAllUnlabelled) {
  const v1::DatasetVersion version = MustImport(Allowing(Header("asked")), PromptRows(0, 3));
  EXPECT_EQ(version.shape(), "prompt");
  EXPECT_EQ(version.unlabelled(), 3u);
  EXPECT_EQ(version.examples().at("train"), 0u);
  EXPECT_EQ(version.examples().at("validation"), 0u);
  // Labelled rows may follow.
  const v1::DatasetVersion next = MustImport(AppendHeader("asked"), TextRows(0, 40));
  EXPECT_EQ(next.unlabelled(), 3u);
  EXPECT_GT(next.examples().at("validation"), 0u);
  EXPECT_EQ(next.shape(), "text");
}

}  // namespace
}  // namespace attune::datasets
