#include "worker/engine/data/row_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace attune::engine {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr char kChat[] = R"({"id": "0", "kind": "messages", "messages": [
  {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
  {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "2 + 2?"},
  {"role": "assistant", "content": [{"type": "text", "text": " 4"}]},
  {"role": "user", "content": "Thanks"}], "metadata": {"language": "en", "n": 3}})";
constexpr char kPair[] =
    R"({"id": "1", "kind": "prompt_completion", "prompt": "Say:", "completion": " yes\n"})";
constexpr char kTurns[] = R"({"id": "2", "kind": "prompt_completion",
  "prompt": [{"role": "user", "content": "Well?"}],
  "completion": [{"role": "assistant", "content": "Fine"}]})";
constexpr char kText[] = R"({"id": "3", "kind": "text", "text": "All of it"})";
constexpr char kPreference[] =
    R"({"id": "5", "kind": "preference", "prompt": "q", "chosen": "good", "rejected": "bad"})";
constexpr char kAlone[] = R"({"id": "4", "kind": "prompt", "prompt": "Only asked"})";

text::TextAssets Chat() {
  text::TextAssets assets;
  assets.chat_template = *text::ChatTemplate::Parse(
      "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }}"
      "{% endfor %}{% if add_generation_prompt %}<a>{% endif %}",
      "", "");
  return assets;
}

TEST(PartsOf, CutsBeforeTheLastAnswer) {
  const auto chat = PartsOf(kChat);
  EXPECT_EQ(chat->asked, "system: Be brief.\nuser: Hi\nassistant: Hello\nuser: 2 + 2?");
  EXPECT_EQ(chat->reference, " 4");
  EXPECT_EQ(PartsOf(kPair)->asked, "Say:");
  EXPECT_EQ(PartsOf(kPair)->reference, " yes\n");
  EXPECT_EQ(PartsOf(kTurns)->asked, "Well?");
  EXPECT_EQ(PartsOf(kTurns)->reference, "Fine");
  EXPECT_EQ(PartsOf(kText)->asked, "");
  EXPECT_EQ(PartsOf(kText)->reference, "All of it");
  EXPECT_EQ(PartsOf(kAlone)->asked, "Only asked");
  EXPECT_EQ(PartsOf(kAlone)->reference, "");
  EXPECT_EQ(PartsOf(kPreference)->reference, "");
  EXPECT_EQ(PartsOf("[]").status().code(), StatusCode::kDataLoss);
}

TEST(PromptOf, IsWhatTheAnswerFollowsInTraining) {
  const auto chat = PromptOf(kChat, Chat());
  ASSERT_TRUE(chat.ok()) << chat.status().ToString();
  EXPECT_EQ(chat->text, "<s>Be brief.<u>Hi<a>Hello<u>2 + 2?<a>");
  EXPECT_FALSE(chat->add_special);
  EXPECT_EQ(PromptOf(kTurns, Chat())->text, "<u>Well?<a>");
  EXPECT_EQ(PromptOf(kPair, Chat())->text, "Say:");
  EXPECT_TRUE(PromptOf(kPair, Chat())->add_special);
  EXPECT_THAT(PromptOf(kText, Chat()).status().message(), HasSubstr("no prompt"));
  EXPECT_THAT(PromptOf(kChat, {}).status().message(), HasSubstr("no chat template"));
}

TEST(WithAnswer, ReplacesTheLastAnswerAndEndsThere) {
  const json chat = json::parse(*WithAnswer(kChat, "5"));
  ASSERT_EQ(chat["messages"].size(), 5u);
  EXPECT_EQ(chat["messages"][4]["content"], " 5");  // as white as before
  EXPECT_EQ(chat["messages"][2]["content"], "Hello");
  EXPECT_EQ(json::parse(*WithAnswer(kPair, "no"))["completion"], " no\n");
  EXPECT_EQ(json::parse(*WithAnswer(kTurns, "Bad"))["completion"][0]["content"], "Bad");
}

TEST(ReadingText, IsAllThatTheRowSays) {
  EXPECT_EQ(*ReadingText(kChat), "Be brief.\nHi\nHello\n2 + 2?\n 4\nThanks");
  EXPECT_EQ(*ReadingText(kPair), "Say: yes\n");
  EXPECT_EQ(*ReadingText(kTurns), "Well?\nFine");
  EXPECT_EQ(*ReadingText(kText), "All of it");
  EXPECT_EQ(*ReadingText(kAlone), "Only asked");
  EXPECT_EQ(*ReadingText(kPreference), "q\ngood\nbad");
  EXPECT_EQ(*ReadingText(R"({"kind": "preference", "chosen": [{"role": "user", "content": "A"}],
                             "rejected": [{"role": "user", "content": "B"}]})"),
            "A\nB");
  EXPECT_EQ(*ReadingText(R"({"kind": "prompt", "messages": [{"role": "user", "content": "A"}]})"),
            "A");
}

TEST(MetadataOf, TakesTexts) {
  EXPECT_THAT(*MetadataOf(kChat), ElementsAre(Pair("language", "en")));
  EXPECT_TRUE(MetadataOf(kPair)->empty());
}

}  // namespace
}  // namespace attune::engine
