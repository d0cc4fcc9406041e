#include "coordinator/curation/row_scan.h"

#include <gmock/gmock.h>

namespace attune::curation {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

PatternSet Patterns() {
  return *PatternSet::Make(std::vector<PatternRule>{{"email", "", Action::kRedact},
                                                    {"ipv4", "", Action::kReport},
                                                    {"user", "user", Action::kRedact}});
}

TEST(ScanContent, RedactsWithinAllStringsButRolesAndTypes) {
  Json content = Json::parse(R"({"messages": [
      {"role": "user", "content": [{"type": "text", "text": "I am a@acme.org"}]},
      {"role": "assistant", "content": null, "tool_calls": [
        {"type": "function", "function": {"name": "mail", "arguments": {"to": "b@acme.org"}}}]}]})");
  const RowScan scan = ScanContent(Patterns(), &content);
  EXPECT_TRUE(scan.redacted);
  EXPECT_THAT(scan.found, ElementsAre(0));
  EXPECT_EQ(content.dump(),
            R"({"messages":[{"role":"user","content":[{"type":"text","text":"I am [EMAIL]"}]},)"
            R"({"role":"assistant","content":null,"tool_calls":[{"type":"function","function":)"
            R"({"name":"mail","arguments":{"to":"[EMAIL]"}}}]}]})");
}

TEST(ScanContent, TheTextsOfARowShareWhatSearchesMayLookAt) {
  const PatternSet set =
      *PatternSet::Make(std::vector<PatternRule>{{"costly", "x", Action::kReport}});
  const std::string text(8'000, 'x');
  const size_t fit = kLooksARow / (text.size() * (text.size() + 1) / 2);
  Json row(fit, text);
  EXPECT_THAT(ScanContent(set, &row).too_costly, IsEmpty());
  row.push_back(text);
  EXPECT_THAT(ScanContent(set, &row).too_costly, ElementsAre(0));
}

TEST(ScanContent, LeavesTheRowAloneWhereNothingIsToBeRedacted) {
  Json content = {{"text", "from 8.8.8.8"}};
  const RowScan scan = ScanContent(Patterns(), &content);
  EXPECT_FALSE(scan.redacted);
  EXPECT_THAT(scan.found, ElementsAre(1));
  EXPECT_EQ(content["text"], "from 8.8.8.8");
  Json clean = {{"text", "nothing"}};
  EXPECT_THAT(ScanContent(Patterns(), &clean).found, IsEmpty());
}

TEST(ScanContent, SaysWhichPatternsWereTooCostly) {
  const PatternSet patterns = *PatternSet::Make(std::vector<PatternRule>{
      {"email", "", Action::kRedact}, {"costly", "(?s)x.*END|x", Action::kReport}});
  Json content = {{"prompt", std::string(20'000, 'x')}, {"completion", "xxx of a@acme.org"}};
  const RowScan scan = ScanContent(patterns, &content);
  EXPECT_THAT(scan.too_costly, ElementsAre(1));
  EXPECT_THAT(scan.found, ElementsAre(0, 1));
}

TEST(ScanMetadata, AddsToWhatWasFound) {
  Json content = {{"text", "from 8.8.8.8"}};
  RowScan scan = ScanContent(Patterns(), &content);
  std::map<std::string, std::string> metadata = {{"source", "a@acme.org"}, {"tenant", "acme"}};
  ScanMetadata(Patterns(), &metadata, &scan);
  EXPECT_THAT(scan.found, ElementsAre(0, 1));
  EXPECT_TRUE(scan.redacted);
  EXPECT_EQ(metadata["source"], "[EMAIL]");
  EXPECT_EQ(metadata["tenant"], "acme");
}

}  // namespace
}  // namespace attune::curation
