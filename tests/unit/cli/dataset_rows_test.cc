#include "tools/cli/dataset_rows.h"

#include <gmock/gmock.h>

namespace attune::cli {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(RowText, ShowsWhoSaysWhat) {
  const std::string text = RowText(Json::parse(R"({"id": "00ff", "kind": "messages", "messages": [
      {"role": "user", "content": "2+2?\nPlease."},
      {"role": "assistant", "content": null, "tool_calls": [{"function": "add"}]}],
      "metadata": {"language": "en"}})"),
                                   {});
  EXPECT_EQ(text,
            "00ff  messages  language en\n"
            "  user\n    2+2?\n    Please.\n"
            "  assistant\n    [{\"function\":\"add\"}]\n");
}

TEST(RowText, ShowsPairsAndCutsLongTexts) {
  const Json row = {{"id", "1"},
                    {"kind", "prompt_completion"},
                    {"prompt", "p"},
                    {"completion", std::string(5000, 'x')}};
  const std::string text = RowText(row, {});
  EXPECT_THAT(text, HasSubstr("  prompt\n    p\n  completion\n    xxx"));
  EXPECT_LT(text.size(), 2000u);
  EXPECT_THAT(RowText(Json::parse(R"({"prompt": [{"role": "user", "content": "hi"}, 3],
                                      "tools": [{"name": "add"}]})"),
                      {}),
              HasSubstr("  prompt\n  user\n    hi\n  tools\n    [{\"name\":\"add\"}]\n"));
}

TEST(RowGist, IsTheFirstWordsOfWhateverTheRowIs) {
  EXPECT_EQ(RowGist(R"({"id":"1","kind":"text","text":"a\nb"})", 40), "a b");
  EXPECT_EQ(RowGist(R"({"messages":[{"role":"user","content":"hi"}]})", 40), "hi");
  EXPECT_EQ(RowGist(R"({"prompt":"p","completion":"c"})", 40), "p");
  EXPECT_EQ(RowGist(R"({"id":"1","kind":"text","text":"cut off...)", 60),
            R"("kind":"text","text":"cut off...)");
  EXPECT_EQ(RowGist(R"({"messages":[]})", 40), "[]");
  EXPECT_EQ(RowGist(R"({"prompt":"p","chosen":"a","rejected":"b"})", 40), "p");
  EXPECT_EQ(RowGist(R"({"chosen":[{"role":"user","content":"hi"}],"rejected":[]})", 40), "hi");
}

TEST(DiffCard, CountsAndShowsChanges) {
  v1::DatasetDiff diff;
  diff.set_before("docs@1");
  diff.set_after("docs@2");
  diff.mutable_added()->set_examples(20);
  (*diff.mutable_added()->mutable_by_split())["train"] = 19;
  (*diff.mutable_added()->mutable_by_split())["validation"] = 1;
  auto* changed = diff.mutable_changed();
  changed->set_examples(1);
  auto* example = changed->add_shown();
  example->set_id("00112233445566778899aabbccddeeff");
  example->set_before_split("train");
  example->set_after_split("train");
  example->set_before(R"({"text":"a row","metadata":{"source":"old"}})");
  example->set_after(R"({"text":"a row","metadata":{"source":"new"}})");
  diff.set_unchanged(500);
  diff.set_shared_bytes(1024);
  const std::string card = DiffCard(diff, {});
  EXPECT_THAT(card, HasSubstr("docs@1 -> docs@2"));
  EXPECT_THAT(card, HasSubstr("20  (19 train, 1 validation)"));
  EXPECT_THAT(card, HasSubstr("500"));
  EXPECT_THAT(card, HasSubstr("\nChanged\n  001122334455  a row\n"));
  EXPECT_THAT(card, HasSubstr("metadata: source old -> source new\n"));
  EXPECT_THAT(card, Not(HasSubstr("\nAdded\n")));
}

}  // namespace
}  // namespace attune::cli
