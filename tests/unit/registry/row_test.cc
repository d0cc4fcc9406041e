#include "coordinator/datasets/row.h"

#include <gmock/gmock.h>

#include "common/base/hash.h"
#include "coordinator/datasets/example_table.h"
#include "coordinator/datasets/row_json.h"
#include "coordinator/datasets/sources/line_reader.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseRow, RecognisesEachKind) {
  Result<Row> text = ParseRow(R"({"text": "héllo"})");
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_EQ(text->kind, RowKind::kText);
  EXPECT_EQ(text->characters, 5u);
  EXPECT_EQ(text->content, "{\"text\":\"héllo\"}");
  EXPECT_EQ(text->id, Sha256Hex(text->content).substr(0, 32));
  EXPECT_EQ(ShardLine(*text),
            "{\"id\":\"" + text->id + "\",\"kind\":\"text\",\"text\":\"héllo\"}\n");

  Result<Row> pair = ParseRow(R"({"prompt": "", "completion": "b", "source": "x", "id": 7})");
  ASSERT_TRUE(pair.ok());
  EXPECT_EQ(pair->content, R"({"prompt":"","completion":"b"})");
  EXPECT_EQ(pair->id, Sha256Hex(R"({"completion":"b","prompt":""})").substr(0, 32));
  EXPECT_THAT(pair->ignored_keys, ElementsAre("id"));

  Result<Row> chat = ParseRow(
      R"({"messages":[{"role":"user","content":"q","name":"Al"},{"role":"assistant","content":"a"}]})");
  ASSERT_TRUE(chat.ok());
  EXPECT_EQ(chat->kind, RowKind::kMessages);
  EXPECT_THAT(chat->content, HasSubstr(R"("name":"Al")"));
}

TEST(ParseRow, IdIgnoresSpellingAndUnusedKeys) {
  Result<Row> a = ParseRow(R"({"prompt":"p","completion":"c"})");
  Result<Row> b = ParseRow(R"(  { "completion" : "\u0063", "x": [1], "prompt" : "p" } )");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->id, b->id);
}

// The ids that data sets were split and deduplicated by must stay what they were.
TEST(ParseRow, IdsOfPlainRowsNeverChange) {
  auto id = [](std::string_view line) { return ParseRow(line)->id; };
  EXPECT_EQ(id(R"({"text":"t"})"), Sha256Hex(R"({"text":"t"})").substr(0, 32));
  EXPECT_EQ(
      id(R"({"messages":[{"role":"assistant","content":"a","weight":1.0}],"tools":null})"),
      Sha256Hex(R"({"messages":[{"content":"a","role":"assistant","weight":1.0}]})").substr(0, 32));
}

TEST(ParseRow, KeysKeepTheRowsOrder) {
  const std::string row =
      R"({"tools":[{"z":1,"a":{"y":2,"b":null}}],)"
      R"("messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,)"
      R"("tool_calls":[{"function":{"name":"f","arguments":{"to":"x","amount":1.5}}}]}]})";
  EXPECT_EQ(ParseRow(row)->content, row);
}

constexpr char kAsk[] = R"({"messages":[{"role":"user","content":"q"},)";

TEST(ParseRow, ToolsArePartOfTheExample) {
  const std::string chat = std::string(kAsk) + R"({"role":"assistant","content":"a"}])";
  Result<Row> none = ParseRow(chat + "}");
  Result<Row> list = ParseRow(chat + R"(,"tools":[{"name":"f"}]})");
  Result<Row> text = ParseRow(chat + R"(,"tools":"[{\"name\": \"f\"}]"})");
  Result<Row> other = ParseRow(chat + R"(,"tools":[{"name":"g"}]})");
  ASSERT_TRUE(none.ok() && list.ok() && text.ok() && other.ok()) << text.status().ToString();
  EXPECT_THAT(list->content, HasSubstr(R"("tools":[{"name":"f"}])"));
  EXPECT_EQ(text->content, list->content);
  EXPECT_EQ(text->id, list->id);
  EXPECT_NE(list->id, none->id);
  EXPECT_NE(list->id, other->id);
  EXPECT_THAT(list->ignored_keys, ElementsAre());
  for (const char* absent : {"null", R"("")", R"("null")"}) {
    EXPECT_EQ(ParseRow(chat + ",\"tools\":" + absent + "}")->id, none->id) << absent;
  }
  EXPECT_THAT(ParseRow(R"({"prompt":"p","completion":"c","tools":[]})")->ignored_keys,
              ElementsAre("tools"));
}

TEST(ParseRow, ACallOfAToolIsSomethingToLearn) {
  for (
      const char* message : {
          R"({"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f"}}]})",
          R"({"role":"assistant","tool_calls":[{"function":{"name":"f"}}]})",
          R"({"role":"assistant","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})",
          R"({"role":"ipython","content":"4"},{"role":"assistant","content":"a"})",
      }) {
    Result<Row> row = ParseRow(std::string(kAsk) + message + "]}");
    EXPECT_TRUE(row.ok()) << message << ": " << row.status().ToString();
  }
  EXPECT_EQ(
      ParseRow(R"({"messages":[{"role":"assistant","content":[{"type":"text","text":"ab"}]}]})")
          ->characters,
      2u);
}

TEST(ParseRow, APairMayBeTwoListsOfMessages) {
  const std::string row = R"({"prompt":[{"role":"user","content":"q"}],)"
                          R"("completion":[{"role":"assistant","content":"a"}],"tools":[]})";
  Result<Row> pair = ParseRow(row);
  ASSERT_TRUE(pair.ok()) << pair.status().ToString();
  EXPECT_EQ(pair->kind, RowKind::kPromptCompletion);
  EXPECT_EQ(pair->content, row);
  EXPECT_EQ(pair->characters, 2u);
}

TEST(ParseRow, ConversationsAreMessages) {
  Result<Row> shared =
      ParseRow(R"({"conversations":[{"from":"system","value":"s"},{"from":"human","value":"q"},)"
               R"({"from":"gpt","value":"a","weight":0}],"id":"x"})");
  ASSERT_TRUE(shared.ok()) << shared.status().ToString();
  EXPECT_EQ(shared->content,
            R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},)"
            R"({"role":"assistant","content":"a","weight":0}]})");
  EXPECT_THAT(shared->ignored_keys, ElementsAre("id"));
  EXPECT_EQ(ParseRow(shared->content)->id, shared->id);
}

struct BadRow {
  std::string line, reason;
};

std::string ManyKeys(int count) {
  std::string row = "{\"text\":\"x\"";
  for (int i = 0; i < count; ++i) row += ",\"" + std::to_string(i) + "\":0";
  return row + "}";
}

TEST(ParseRow, TakesRowsOfManyColumns) {
  EXPECT_EQ(ParseRow(ManyKeys(5'000))->ignored_keys.size(), 5'000u);
}

TEST(ParseRow, RefusesWithTheReason) {
  const BadRow rows[] = {
      {"{", "not valid JSON at column 2"},
      {"\xd7\x82", "not valid JSON at column 1"},  // the parser quotes half a character
      {"[1]", "a JSON array?"},
      {"3", "not a JSON object"},
      {"{\"text\": \"\xff\"}", "not valid UTF-8 at byte 11"},
      {R"({"text": "\ud800"})", "not valid JSON"},
      {R"({"text": 1e999})", "not valid JSON"},
      {R"({"text": 5})", "text must be a string"},
      {R"({"text": " \n"})", "text is empty"},
      {R"({"other": "x"})", "has none of"},
      {R"({"prompt": "x"})", "prompt without completion"},
      {R"({"completion": "x"})", "completion without prompt"},
      {R"({"prompt": "x", "completion": " "})", "completion is empty"},
      {R"({"prompt": ["x"], "completion": "a"})", "two strings or two lists of messages"},
      {R"({"prompt": [], "completion": []})", "prompt is empty"},
      {R"({"prompt": [{"role":"user","content":"q"}], "completion": [1]})",
       "completion[0] is not an object"},
      {R"({"prompt": [{"role":"user","content":"q"}],
           "completion": [{"role":"assistant","content":""}]})",
       "completion is empty"},
      {R"({"messages": {}})", "messages must be an array"},
      {R"({"messages": []})", "messages is empty"},
      {R"({"messages": [1]})", "messages[0] is not an object"},
      {R"({"messages": [{"content": "x"}]})", "messages[0].role must be a string"},
      {R"({"messages": [{"role": "", "content": "x"}]})", "messages[0].role must be a string"},
      {R"({"messages": [{"role": "bot", "content": "x"}]})", "no assistant message"},
      {R"({"messages": [{"role": "user", "content": null}]})",
       "messages[0].content must be a string or a list of text parts (it may be null beside"},
      {R"({"messages": [{"role": "user", "content": 5}]})", "messages[0].content must be a string"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image"}]}]})",
       "messages[0].content[0] is of type \"image\": only text can be learned"},
      {R"({"messages": [{"role": "user", "content": ["x"]}]})", "is not an object with a type"},
      {R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})",
       "messages[0].content[0].text must be a string"},
      {R"({"messages": [{"role": "assistant", "content": "", "tool_calls": [1]}]})",
       "messages[0].tool_calls must be a list of objects"},
      {R"({"messages": [{"role": "assistant", "content": null, "tool_calls": []}]})",
       "messages[0].content must be"},
      {R"({"messages": [{"role": "assistant", "content": "x"}], "tools": {}})",
       "tools must be a list of objects"},
      {R"({"messages": [{"role": "assistant", "content": "x"}], "tools": "[1]"})",
       "tools must be a list of objects"},
      {R"({"messages": [{"role": "assistant", "content": "x"}], "tools": "["})",
       "tools: not valid JSON"},
      {R"({"conversations": [{"from": "human", "value": "x"}]})", "no assistant message"},
      {R"({"messages": [{"role": "user", "content": "x"}]})", "no assistant message"},
      {R"({"messages": [{"role": "assistant", "content": ""}]})", "no assistant message"},
      {"{\"text\": " + std::string(100, '[') + std::string(100, ']') + "}", "nested deeper"},
      {std::string(1 << 20, '['), "nested deeper"},
      {ManyKeys(20'000), "too many keys"},
  };
  for (const BadRow& row : rows) {
    Result<Row> result = ParseRow(row.line);
    ASSERT_FALSE(result.ok()) << row.line.substr(0, 80);
    EXPECT_THAT(result.status().message(), HasSubstr(row.reason)) << row.line.substr(0, 80);
    EXPECT_EQ(FindInvalidUtf8(result.status().message()), std::string_view::npos);
    EXPECT_LT(result.status().message().size(), 400u);
  }
}

TEST(SplitOf, FollowsTheIdAndGrowsWithTheFraction) {
  EXPECT_EQ(SplitOf({0, 0}, 0.05), "validation");
  EXPECT_EQ(SplitOf({0, 0}, 0), "train");
  EXPECT_EQ(SplitOf({0x8000000000000000, 0}, 0.5), "train");
  EXPECT_EQ(SplitOf({0x7fffffffffffffff, ~0ULL}, 0.5), "validation");
  EXPECT_EQ(SplitOf({~0ULL, ~0ULL}, 1), "validation");
  int validation = 0;
  for (int i = 0; i < 10000; ++i) {
    const ExampleId id = ParseExampleId(Sha256Hex(std::to_string(i)).substr(0, 32));
    if (SplitOf(id, 0.05) == "validation") {
      ++validation;
      EXPECT_EQ(SplitOf(id, 0.2), "validation");
    }
  }
  EXPECT_NEAR(validation, 500, 100);
}

TEST(ExampleTable, NumbersEachIdOnce) {
  ExampleTable table;
  EXPECT_EQ(table.Find({}), std::nullopt);
  for (int round = 0; round < 2; ++round) {
    for (uint32_t i = 0; i < 5000; ++i) {
      const ExampleId id = ParseExampleId(Sha256Hex(std::to_string(i)).substr(0, 32));
      const ExampleTable::Place place = table.Insert(id);
      EXPECT_EQ(place.added, round == 0);
      EXPECT_EQ(place.number, i);
      EXPECT_EQ(table.Find(id), i);
      EXPECT_EQ(table.id(i), id);
    }
  }
  EXPECT_TRUE(table.Insert({}).added);
  EXPECT_EQ(table.size(), 5001u);
  const std::string text = "00123456789abcdeffedcba987654320";
  EXPECT_EQ(FormatExampleId(ParseExampleId(text)), text);
}

// Random trees whose strings have all that JSON escapes, and code points of every length.
RowJson RandomTree(Random* random, int depth) {
  static const std::vector<std::string> kPieces = {"a",
                                                   "key",
                                                   "\"",
                                                   "\\",
                                                   "/",
                                                   "\b",
                                                   "\f",
                                                   "\n",
                                                   "\r",
                                                   "\t",
                                                   std::string(1, '\0'),
                                                   "\x01",
                                                   "\x0b",
                                                   "\x1f",
                                                   "\x7f",
                                                   "\u00e9",
                                                   "\u20ac",
                                                   "\U0001f600",
                                                   "\u2028"};
  auto text = [&] {
    std::string s;
    for (uint64_t i = random->Below(6); i > 0; --i) s += kPieces[random->Below(kPieces.size())];
    return s;
  };
  switch (random->Below(depth == 0 ? 5 : 8)) {
    case 0:
      return random->Next();
    case 1:
      return -static_cast<int64_t>(random->Below(1 << 20));
    case 2:
      return static_cast<double>(random->Next()) / 7e9;
    case 3:
      return random->Below(2) == 0 ? RowJson() : RowJson(random->Below(2) == 0);
    case 4:
      return text();
    case 5: {
      RowJson array = RowJson::array();
      for (uint64_t i = random->Below(4); i > 0; --i)
        array.push_back(RandomTree(random, depth - 1));
      return array;
    }
    default: {
      RowJson object = RowJson::object();
      for (uint64_t i = random->Below(5); i > 0; --i)
        object[text()] = RandomTree(random, depth - 1);
      return object;
    }
  }
}

TEST(DumpRowJson, IsWhatTheLibraryWrites) {
  Random random(3);
  for (int i = 0; i < 5000; ++i) {
    const RowJson tree = RandomTree(&random, 4);
    ASSERT_EQ(DumpRowJson(tree), tree.dump());
    ASSERT_EQ(DumpSortedRowJson(tree), nlohmann::json(tree).dump());
  }
}

TEST(LineReader, SameLinesHoweverTheBytesAreCut) {
  const std::string bytes = "\xEF\xBB\xBFone\r\n\ntoo long a line\nlast";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    std::vector<std::string> lines;
    LineReader reader(10, [&](const Line& line) {
      lines.push_back(std::to_string(line.number) + ":" +
                      (line.too_long ? "LONG" : std::string(line.text)));
      return Status();
    });
    for (size_t at = 0; at < bytes.size(); at += piece) {
      ASSERT_TRUE(reader.Append(std::string_view(bytes).substr(at, piece)).ok());
    }
    ASSERT_TRUE(reader.EndFile().ok());
    ASSERT_TRUE(reader.EndFile().ok());
    EXPECT_THAT(lines, ElementsAre("1:one", "2:", "3:LONG", "4:last")) << piece;
  }
}

TEST(Utf8, FindsWhatIsMalformed) {
  EXPECT_EQ(FindInvalidUtf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), std::string_view::npos);
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8", "\xc3"}) {
    EXPECT_EQ(FindInvalidUtf8(bad), 0u);
  }
}

}  // namespace
}  // namespace attune::datasets
