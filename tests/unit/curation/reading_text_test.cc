#include "coordinator/curation/reading_text.h"

#include <gmock/gmock.h>

namespace attune::curation {
namespace {

std::string TextOf(const char* content) {
  return ReadingText(nlohmann::ordered_json::parse(content));
}

TEST(ReadingText, OfEachShape) {
  EXPECT_EQ(TextOf(R"({"text": "all"})"), "all");
  EXPECT_EQ(TextOf(R"({"prompt": "2+2?", "completion": "4"})"), "2+2?\n4");
  EXPECT_EQ(TextOf(R"({"prompt": [{"role": "user", "content": "q"}],
                       "completion": [{"role": "assistant", "content": "a"}]})"),
            "q\na");
  EXPECT_EQ(TextOf(R"({"rejected": "5", "prompt": "2+2?", "chosen": "4"})"), "2+2?\n4\n5");
}

TEST(ReadingText, LeavesOutWhatAllRowsHave) {
  EXPECT_EQ(TextOf(R"({"messages": [{"role": "system", "content": "You are helpful."},
                                    {"role": "user", "content": [{"type": "text", "text": "q"}]},
                                    {"role": "assistant", "content": null,
                                     "tool_calls": [{"name": "f"}]}],
                       "tools": [{"name": "f"}]})"),
            "q\n[{\"name\":\"f\"}]");
}

TEST(ReadingText, TakesAnyContent) {
  EXPECT_EQ(TextOf(R"({"messages": [1, {"content": 2}, {"content": [3, {"text": 4}]}]})"), "");
  EXPECT_EQ(TextOf("{}"), "");
}

}  // namespace
}  // namespace attune::curation
