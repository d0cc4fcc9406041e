// Rows of instructions, of preferences, of tables, and what a mapping makes of rows.

#include <gmock/gmock.h>

#include "coordinator/datasets/mapping.h"
#include "coordinator/datasets/row.h"

namespace attune::datasets {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Row Parsed(const std::string& line, bool allow_unlabelled = false,
           const Mapping* mapping = nullptr) {
  Result<Row> row = ParseRow(line, allow_unlabelled, mapping);
  EXPECT_TRUE(row.ok()) << line << ": " << row.status().message();
  return row.ok() ? *row : Row();
}

std::string Refused(const std::string& line, bool allow_unlabelled = false,
                    const Mapping* mapping = nullptr) {
  Result<Row> row = ParseRow(line, allow_unlabelled, mapping);
  EXPECT_FALSE(row.ok()) << line;
  return row.status().message();
}

Mapping MappingOf(const std::map<std::string, std::string>& values) {
  v1::ImportSpec spec;
  for (const auto& [key, value] : values) (*spec.mutable_mapping())[key] = value;
  Result<Mapping> mapping = Mapping::Make(spec);
  EXPECT_TRUE(mapping.ok()) << mapping.status().message();
  return mapping.ok() ? *mapping : Mapping();
}

constexpr char kConversation[] =
    R"({"messages":[{"role":"user","content":"Add.\n\n2 and 2"},{"role":"assistant","content":"4"}]})";

TEST(Shapes, AnInstructionIsAConversation) {
  const Row row =
      Parsed(R"({"output": "4", "instruction": "Add.", "input": "2 and 2", "text": "Below is"})");
  EXPECT_EQ(row.kind, RowKind::kMessages);
  EXPECT_EQ(row.shape, "instruction");
  EXPECT_EQ(row.content, kConversation);
  EXPECT_EQ(row.id, Parsed(kConversation).id);
  EXPECT_THAT(row.ignored_keys, ElementsAre("text"));
}

TEST(Shapes, AnInstructionNeedsNoInput) {
  for (const char* line : {R"({"instruction": "Hi", "output": "Ho", "input": ""})",
                           R"({"instruction": "Hi", "output": "Ho", "input": null})",
                           R"({"instruction": "Hi", "output": "Ho"})"}) {
    EXPECT_EQ(
        Parsed(line).content,
        R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"}]})");
  }
}

TEST(Shapes, AnInstructionWithoutOutputHasNoAnswer) {
  EXPECT_THAT(Refused(R"({"instruction": "Hi"})"), HasSubstr("instruction without output"));
  EXPECT_THAT(Refused(R"({"instruction": "Hi", "response": "Ho"})"),
              HasSubstr("map it: output=response"));
  EXPECT_THAT(Refused(R"({"instruction": "Hi", "output": ""})"), HasSubstr("nothing to learn"));
  EXPECT_THAT(Refused(R"({"instruction": " ", "output": "Ho"})"), HasSubstr("is empty"));
  EXPECT_THAT(Refused(R"({"instruction": "Hi", "output": 3})"),
              HasSubstr("output must be a string"));
  const Row row = Parsed(R"({"instruction": "Hi"})", /*allow_unlabelled=*/true);
  EXPECT_EQ(row.kind, RowKind::kPrompt);
  EXPECT_EQ(row.content, R"({"messages":[{"role":"user","content":"Hi"}]})");
}

TEST(Shapes, APreferencePairIsTwoTexts) {
  const Row row = Parsed(
      R"({"chosen": "good", "rejected": "bad", "prompt": "q", "tools": [], "score": 1, "label": "x"})");
  EXPECT_EQ(row.kind, RowKind::kPreference);
  EXPECT_EQ(row.shape, "preference");
  EXPECT_EQ(row.content, R"({"chosen":"good","rejected":"bad","prompt":"q"})");
  EXPECT_EQ(row.characters, 8u);
  EXPECT_EQ(row.reading_text, "q\ngood\nbad");
  EXPECT_EQ(row.metadata.at("label"), "x");
  EXPECT_THAT(row.ignored_keys, ElementsAre("tools", "score"));
  EXPECT_EQ(Parsed(R"({"prompt": "q", "chosen": "good", "rejected": "bad"})").id, row.id);
  EXPECT_EQ(Parsed(row.content, /*allow_unlabelled=*/true).kind, RowKind::kPreference);
  // Without a prompt, or with none of a table.
  const Row alone = Parsed(R"({"chosen": "good", "rejected": "bad"})");
  EXPECT_EQ(Parsed(R"({"chosen": "good", "rejected": "bad", "prompt": null})").id, alone.id);
  EXPECT_NE(alone.id, row.id);
  EXPECT_NE(Parsed(R"({"chosen": "bad", "rejected": "good"})").id, alone.id);
  // [1] is an answer here, and what is in brackets.
  for (const char* text : {R"("[1]")", R"("[{\"a\": 1}]")", R"("[")"}) {
    EXPECT_THAT(Parsed("{\"chosen\": " + std::string(text) + R"(, "rejected": "x"})").content,
                HasSubstr(text + 1));
  }
}

constexpr char kPreference[] = R"({"prompt":[{"role":"user","content":"q"}],)"
                               R"("chosen":[{"role":"assistant","content":"a"}],)"
                               R"("rejected":[{"role":"assistant","content":"b"}],)"
                               R"("tools":[{"name":"f"}]})";

TEST(Shapes, APreferencePairIsTwoListsOfMessages) {
  const Row row = Parsed(kPreference);
  EXPECT_EQ(row.content, kPreference);
  EXPECT_EQ(row.characters, 3u);
  EXPECT_TRUE(row.ignored_keys.empty());
  const auto text = [](const char* role, const char* content) {
    return std::string(R"("[{\"role\": \")") + role + R"(\", \"content\": \")" + content +
           R"(\"}]")";
  };
  const std::string table = R"({"prompt": )" + text("user", "q") + R"(, "chosen": )" +
                            text("assistant", "a") + R"(, "rejected": )" + text("assistant", "b") +
                            R"(, "tools": "[{\"name\": \"f\"}]"})";
  EXPECT_EQ(Parsed(table).content, kPreference);
  EXPECT_EQ(Parsed(table).id, row.id);
}

// As in ultrafeedback, whose lists begin with the prompt.
TEST(Shapes, ATextIsThePromptOfTwoLists) {
  const std::string lists =
      R"("chosen":[{"role":"system","content":"s"},{"role":"user","content":"q"},)"
      R"({"role":"assistant","content":"a"}],)"
      R"("rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]})";
  for (const char* prompt : {R"("q")", R"("")", "null"}) {
    EXPECT_EQ(Parsed(R"({"prompt":)" + std::string(prompt) + "," + lists).content, "{" + lists);
  }
  const std::string answers = R"("chosen":[{"role":"assistant","content":"a"}],)"
                              R"("rejected":[{"role":"assistant","content":"b"}]})";
  EXPECT_EQ(Parsed(R"({"prompt":"q",)" + answers).content,
            R"({"prompt":[{"role":"user","content":"q"}],)" + answers);
  EXPECT_EQ(Parsed(R"({"prompt":" ",)" + answers).content, "{" + answers);
}

TEST(Shapes, AnAnswerThatWasNotWantedIsNoPair) {
  const std::string text = R"({"prompt": "q", "completion": "a", "label": )";
  const std::string chat = R"({"prompt": [{"role": "user", "content": "q"}],
                               "completion": [{"role": "assistant", "content": "a"}], "label": )";
  for (const std::string& row : {text, chat}) {
    EXPECT_THAT(Refused(row + "false}"), HasSubstr("label is false"));
    EXPECT_THAT(Refused(row + "false}", /*allow_unlabelled=*/true), HasSubstr("label is false"));
    EXPECT_EQ(Parsed(row + "true}").metadata.at("label"), "true");
    EXPECT_EQ(Parsed(row + "\"false\"}").metadata.at("label"), "false");
  }
  EXPECT_EQ(Parsed(R"({"text": "a", "label": false})").metadata.at("label"), "false");
}

TEST(Shapes, AStoredPreferencePairIsReadAgain) {
  for (const char* line : {kPreference, R"({"chosen": "good", "rejected": "bad", "label": "x"})"}) {
    const Row row = Parsed(line);
    std::string stored = ShardLine(row);
    EXPECT_THAT(stored, HasSubstr(R"(","kind":"preference",")"));
    stored.pop_back();
    Result<Row> read = ParseShardLine(stored);
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(read->kind, RowKind::kPreference);
    EXPECT_EQ(read->id, row.id);
    EXPECT_EQ(read->characters, row.characters);
    EXPECT_EQ(read->metadata, row.metadata);
  }
}

TEST(Shapes, APreferencePairPrefersSomething) {
  EXPECT_THAT(Refused(R"({"chosen": "a", "rejected": "a"})"), HasSubstr("are equal"));
  EXPECT_THAT(Refused(R"({"chosen": [{"role": "a", "content": "x"}],
                          "rejected": [{"content": "x", "role": "a"}]})"),
              HasSubstr("are equal"));
  EXPECT_THAT(Refused(R"({"chosen": " ", "rejected": "a"})"), HasSubstr("chosen is empty"));
  EXPECT_THAT(Refused(R"({"chosen": "a", "rejected": ""})"), HasSubstr("rejected is empty"));
  EXPECT_THAT(Refused(R"({"chosen": [{"role": "a", "content": ""}],
                          "rejected": [{"role": "a", "content": "x"}]})"),
              HasSubstr("chosen is empty"));
  EXPECT_THAT(Refused(R"({"chosen": [], "rejected": []})"), HasSubstr("chosen is empty"));
  EXPECT_THAT(Refused(R"({"chosen": [{"role": "a", "content": "x"}], "rejected": [1]})"),
              HasSubstr("rejected[0] is not an object"));
  for (
      const char* mixed :
      {R"({"chosen": "a", "rejected": [{"role": "a", "content": "x"}]})",
       R"({"prompt": "q", "chosen": [{"role": "user", "content": "q"}, {"role": "a", "content": "x"}],
            "rejected": [{"role": "user", "content": "r"}, {"role": "a", "content": "y"}]})",
       R"({"prompt": "q", "chosen": [{"role": "system", "content": "s"}, {"role": "a", "content": "x"}],
            "rejected": [{"role": "a", "content": "y"}]})",
       R"({"prompt": "q", "chosen": [{"role": "a", "content": "x"}], "rejected": "b"})",
       R"({"prompt": [], "chosen": "a", "rejected": "b"})", R"({"chosen": 1, "rejected": 2})"}) {
    EXPECT_THAT(Refused(mixed), HasSubstr("all texts or all lists of messages"));
  }
}

TEST(Shapes, WhatIsLearnedGoesBeforeAPreference) {
  EXPECT_EQ(Parsed(R"({"prompt": "a", "completion": "d", "chosen": "b", "rejected": "c"})").shape,
            "prompt_completion");
  EXPECT_EQ(Parsed(R"({"text": "a", "chosen": "b", "rejected": "c"})").shape, "text");
  EXPECT_THAT(Refused(R"({"chosen": "b"})"), HasSubstr("has none of"));
  EXPECT_THAT(Refused(R"({"chosen": "b", "rejected": null})"), HasSubstr("has none of"));
  EXPECT_THAT(Refused(R"({"instruction": "a", "chosen": "b", "rejected": "c"})"),
              HasSubstr("map it: prompt=instruction"));
  const Mapping mapping =
      MappingOf({{"prompt", "question"}, {"chosen", "better"}, {"rejected", "worse"}});
  EXPECT_EQ(Parsed(R"({"question": "q", "better": "a", "worse": 5})", false, &mapping).content,
            R"({"chosen":"a","prompt":"q","rejected":"5"})");
}

TEST(Shapes, TablesHaveListsAsText) {
  const std::string list =
      R"("[{\"role\": \"user\", \"content\": \"Add.\\n\\n2 and 2\"}, {\"role\": \"assistant\", \"content\": \"4\"}]")";
  EXPECT_EQ(Parsed("{\"messages\": " + list + "}").content, kConversation);
  const Row row = Parsed(
      R"({"conversations": "[{\"from\": \"human\", \"value\": \"a\"}, {\"from\": \"gpt\", \"value\": \"b\"}]"})");
  EXPECT_EQ(row.shape, "conversations");
  EXPECT_THAT(Refused(R"({"messages": "[{\"role\":"})"), HasSubstr("messages: not valid JSON"));
  EXPECT_THAT(Refused(R"({"messages": "hello"})"), HasSubstr("messages must be an array"));
}

TEST(Mapping, NamesColumns) {
  const Mapping mapping = MappingOf({{"prompt", "question"}, {"completion", "answer"}});
  const Row row =
      Parsed(R"({"text": "no", "question": "2+2?", "answer": 4, "label": "sum", "id": 7})", false,
             &mapping);
  EXPECT_EQ(row.content, R"({"completion":"4","prompt":"2+2?"})");
  EXPECT_EQ(row.shape, "prompt_completion");
  EXPECT_EQ(row.metadata.at("label"), "sum");
  EXPECT_THAT(row.ignored_keys, ElementsAre("text", "id"));
}

TEST(Mapping, MakesTextsOfColumns) {
  const Mapping mapping =
      MappingOf({{"prompt", "{context}\n\n{question}"}, {"completion", "{{{answer}}}"}});
  EXPECT_EQ(
      Parsed(R"({"context": null, "question": "ok?", "answer": true})", false, &mapping).content,
      R"({"completion":"{true}","prompt":"\n\nok?"})");
  EXPECT_THAT(Refused(R"({"context": [1], "question": "ok?", "answer": "y"})", false, &mapping),
              HasSubstr("'context' is a list or an object"));
}

TEST(Mapping, TakesListsAsTheyAre) {
  const Mapping mapping = MappingOf({{"messages", "dialog"}});
  const Row row = Parsed(
      R"({"dialog": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "tools": "[]", "messages": 3})",
      false, &mapping);
  EXPECT_EQ(row.kind, RowKind::kMessages);
  EXPECT_THAT(row.content, HasSubstr("tools"));
  EXPECT_THAT(row.ignored_keys, ElementsAre("messages"));
}

TEST(Mapping, KeepsWhatIsOfTheShapeAndNotMapped) {
  const Mapping chosen = MappingOf({{"completion", "chosen"}});
  EXPECT_EQ(Parsed(R"({"prompt": "a", "chosen": "b", "rejected": "c"})", false, &chosen).content,
            R"({"completion":"b","prompt":"a"})");
  const Mapping swapped = MappingOf({{"prompt", "completion"}, {"completion", "prompt"}});
  const Row row = Parsed(R"({"prompt": "a", "completion": "b"})", false, &swapped);
  EXPECT_EQ(row.content, R"({"completion":"a","prompt":"b"})");
  EXPECT_TRUE(row.ignored_keys.empty());
  const Mapping label = MappingOf({{"label", "mood"}});
  EXPECT_EQ(Parsed(R"({"text": "a", "mood": 1})", false, &label).metadata.at("label"), "1");
}

TEST(Mapping, AMissingColumnIsNamedWithThoseThatAreThere) {
  const Mapping mapping = MappingOf({{"text", "body"}});
  EXPECT_EQ(Refused(R"({"title": "a", "content": "b"})", false, &mapping),
            "has no column 'body', which is mapped; it has: title, content");
  // A null is there, and nothing.
  EXPECT_THAT(Refused(R"({"body": null})", false, &mapping), HasSubstr("has none of"));
}

}  // namespace
}  // namespace attune::datasets
