// Token ids, chat renderings and templates against Hugging Face's (make_fixtures.py).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/parity/text/reference.h"
#include "worker/engine/data/example_tokens.h"

namespace attune::parity {
namespace {

using text::ChatTemplate;
using text::TextAssets;

std::string SubjectName(const testing::TestParamInfo<Subject>& info) {
  std::string name = info.param.name;
  std::erase(name, '-');
  return name;
}

class TextParity : public testing::TestWithParam<Subject> {
 protected:
  void SetUp() override {
    if (!GetParam().available()) GTEST_SKIP() << GetParam().assets << " is not there";
    auto assets = text::LoadTextAssets(GetParam().assets);
    ASSERT_TRUE(assets.ok()) << assets.status().ToString();
    assets_ = std::move(*assets);
  }
  std::vector<Json> Rows(const char* file) const {
    return ReadLines(ReferenceFolder() / GetParam().name / file);
  }
  TextAssets assets_;
};

TEST_P(TextParity, TokenIdsOfTextsAreEqual) {
  std::vector<Json> rows = Rows("texts.jsonl");
  ASSERT_GE(rows.size(), 40u);
  std::vector<std::string> texts;
  for (const Json& row : rows) texts.push_back(row["text"]);
  std::vector<std::string_view> views(texts.begin(), texts.end());
  auto plain = assets_.tokenizer->EncodeBatch(views, false, 2);
  auto special = assets_.tokenizer->EncodeBatch(views, true, 2);
  ASSERT_TRUE(plain.ok() && special.ok());
  for (size_t i = 0; i < rows.size(); ++i) {
    std::vector<uint32_t> expected = rows[i]["ids"];
    ASSERT_EQ((*plain)[i], expected) << rows[i]["text"];
    if (rows[i].contains("special")) expected = rows[i]["special"].get<std::vector<uint32_t>>();
    ASSERT_EQ((*special)[i], expected) << rows[i]["text"];
  }
}

TEST_P(TextParity, OffsetsInTextsAreEqual) {
  for (const Json& row : Rows("texts.jsonl")) {
    if (!row.contains("offsets")) continue;
    const auto encoding = assets_.tokenizer->Encode(row["text"].get<std::string>(), false);
    ASSERT_TRUE(encoding.ok()) << encoding.status().ToString();
    ASSERT_EQ(encoding->ids, row["ids"].get<std::vector<uint32_t>>());
    const auto expected = row["offsets"].get<std::vector<std::pair<uint32_t, uint32_t>>>();
    ASSERT_EQ(encoding->offsets, expected) << row["text"];
  }
}

TEST_P(TextParity, DecodedTextsAreEqual) {
  for (const Json& row : Rows("texts.jsonl")) {
    auto decoded = assets_.tokenizer->Decode(row["ids"].get<std::vector<uint32_t>>(), false);
    ASSERT_TRUE(decoded.ok());
    const Json& expected = row.contains("decoded") ? row["decoded"] : row["text"];
    ASSERT_EQ(*decoded, expected.get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, TextParity, testing::ValuesIn(Subjects()), SubjectName);

class ChatParity : public TextParity {};

TEST_P(ChatParity, ChatsAreRenderedAndTokenizedEqually) {
  std::vector<Json> rows = Rows("chats.jsonl");
  ASSERT_GE(rows.size(), 15u);
  ASSERT_NE(assets_.chat_template, nullptr);
  for (const Json& row : rows) {
    auto rendered =
        assets_.chat_template->Render(row["messages"].dump(), row["add_generation_prompt"]);
    ASSERT_TRUE(rendered.ok()) << rendered.status().ToString();
    ASSERT_EQ(*rendered, row["text"].get<std::string>());
    auto encoding = assets_.tokenizer->Encode(*rendered, false);
    ASSERT_TRUE(encoding.ok());
    ASSERT_EQ(encoding->ids, row["ids"].get<std::vector<uint32_t>>());
  }
}

TEST_P(ChatParity, TokensAndTargetsOfExamplesAreThoseOfTrl) {
  std::vector<Json> rows = Rows("masks.jsonl");
  ASSERT_GE(rows.size(), 40u);
  engine::TokenizeOptions options;
  options.assets = assets_;
  options.sequence_length = 1 << 20;
  options.vocabulary_size = assets_.tokenizer->vocabulary_size();
  for (const Json& row : rows) {
    Json line = row["example"];
    line["id"] = std::string(32, '0');
    auto example = engine::TokenizeExample(line.dump(), options);
    ASSERT_TRUE(example.ok()) << example.status().ToString();
    ASSERT_EQ(example->tokens, row["ids"].get<std::vector<uint32_t>>()) << row["example"];
    ASSERT_EQ(example->targets, row["targets"].get<std::vector<uint8_t>>()) << row["example"];
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, ChatParity, testing::ValuesIn(ChatSubjects()), SubjectName);

TEST(TemplateParity, TemplatesRenderEqually) {
  std::ifstream stream(ReferenceFolder() / "templates.json");
  ASSERT_TRUE(stream.good());
  Json reference = Json::parse(stream);
  ASSERT_GE(reference["templates"].size(), 40u);
  for (const Json& entry : reference["templates"]) {
    const std::string name = entry["name"];
    auto parsed = ChatTemplate::Parse(entry["template"].get<std::string>(), "<s>", "</s>");
    if (!parsed.ok()) {
      ADD_FAILURE() << name << ": " << parsed.status().ToString();
      continue;
    }
    for (size_t i = 0; i < entry["results"].size(); ++i) {
      const Json& use = reference["cases"][i];
      const Json& expected = entry["results"][i];
      auto rendered = (*parsed)->Render(use["messages"].dump(), use["add_generation_prompt"],
                                        use["tools"].is_null() ? "" : use["tools"].dump());
      if (expected.contains("error")) {
        EXPECT_FALSE(rendered.ok()) << name << ", case " << i << ": expected " << expected["error"];
      } else if (!rendered.ok()) {
        ADD_FAILURE() << name << ", case " << i << ": " << rendered.status().ToString();
      } else {
        EXPECT_EQ(*rendered, expected["text"].get<std::string>()) << name << ", case " << i;
      }
    }
  }
}

}  // namespace
}  // namespace attune::parity
