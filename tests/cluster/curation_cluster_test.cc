// Real texts, the docstrings of Python's own library, are curated through the command line, and the
// commands of docs/curation.md run as they are written.

#include <gmock/gmock.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "common/base/files.h"
#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The first block of a page in a language.
std::string BlockOf(const std::string& page, const std::string& language) {
  const std::string text = *ReadFile(page), start = "```" + language + "\n";
  const size_t begin = text.find(start) + start.size();
  return text.substr(begin, text.find("```", begin) - begin);
}

class CurationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
    fs::create_directories(cluster_.home() / "work/chats");
    fs::create_directories(cluster_.home() / "work/exam");
    Finished data = cluster::Run(
        {"tools/demo-data", (cluster_.home() / "work/docs.jsonl").string()}, {}, kPatience);
    ASSERT_EQ(data.exit_code, 0) << data.err;
    docs_ = Lines(cluster_.Read("work/docs.jsonl"));
    ASSERT_GT(docs_.size(), 500u);
  }

  // The user's message and the answer of a line.
  static std::pair<std::string, std::string> Turns(const std::string& line) {
    const Json row = Json::parse(line);
    return {row["messages"][0]["content"], row["messages"][1]["content"]};
  }

  static std::string RowOf(const std::string& prompt, const std::string& completion) {
    return Json{{"prompt", prompt}, {"completion", completion}}.dump() + "\n";
  }

  std::string Succeeds(const std::string& line) {
    Finished finished = cluster_.Shell("work", line);
    EXPECT_EQ(finished.exit_code, 0) << line << "\n" << finished.out << finished.err;
    return finished.out;
  }

  Cluster cluster_;
  std::vector<std::string> docs_;
};

// Each docstring once more with a word behind it: nearly the same texts.
TEST_F(CurationTest, NearDuplicatesOfRealTextsShareASide) {
  std::string rows;
  for (size_t i = 0; i < 400; ++i) {
    const auto [prompt, completion] = Turns(docs_[i]);
    rows += RowOf(prompt, completion) + RowOf(prompt, completion + " Again.");
  }
  cluster_.Write("work/twice.jsonl", rows);
  Succeeds("attune dataset import twice twice.jsonl --validation 0.3");
  const Json version = cluster_.AttuneJson({"dataset", "show", "twice"});
  EXPECT_GT(version["found"]["near_duplicate"].get<int>(), 350);
  EXPECT_THAT(Succeeds("attune dataset show twice"), HasSubstr("on its side of the split"));
  std::map<std::string, std::set<std::string>> sides;  // by the prompt
  for (const auto& entry : fs::directory_iterator(version["path"].get<std::string>())) {
    if (entry.path().extension() != ".jsonl") continue;
    const std::string file = entry.path().filename();
    for (const std::string& line : Lines(*ReadFile(entry.path()))) {
      sides[Json::parse(line)["prompt"]].insert(file.substr(0, file.find('-')));
    }
  }
  int apart = 0, in_validation = 0;
  for (const auto& [prompt, splits] : sides) {
    apart += splits.size() > 1 ? 1 : 0;
    in_validation += splits.contains("validation") ? 1 : 0;
  }
  EXPECT_GE(sides.size(), 390u);
  EXPECT_LE(apart, 20);  // the shortest, and what the signatures miss
  EXPECT_GT(in_validation, 60);
}

TEST_F(CurationTest, ThePagesCommandsDoWhatItSays) {
  cluster_.Write("work/curated.yaml", BlockOf("docs/curation.md", "yaml"));
  std::string chats, exam;
  for (size_t i = 0; i < 300; ++i) {
    const auto [prompt, completion] = Turns(docs_[i]);
    chats += RowOf(prompt, completion);
    if (i < 10) exam += RowOf(prompt, completion);
    if (i >= 10 && i < 40) chats += RowOf(prompt + "\n# once more", completion);
  }
  const std::string key =
      "AKIA"
      "IOSFODNN7EXAMPLE";
  chats += RowOf("Which key does the deployment of this service use, and who knows?", key);
  chats += RowOf("Whom do I ask about the deployment of this service, please?", "ops@acme.org");
  chats += RowOf("What was TICKET-1234 about, which we closed last week?", "A broken build.");
  chats += RowOf("2+2?", "4");
  cluster_.Write("work/chats/a.jsonl", chats);
  cluster_.Write("work/exam/a.jsonl", exam);
  std::string shown;
  for (const std::string& line : Lines(BlockOf("docs/curation.md", "sh"))) {
    shown += Succeeds(line);
  }
  const Json version = cluster_.AttuneJson({"dataset", "show", "chats"});
  const Json& dropped = version["dropped"];
  EXPECT_GE(dropped["contamination"].get<int>(), 10);
  EXPECT_GE(dropped["near_duplicate"].get<int>(), 15);
  EXPECT_EQ(dropped["pattern:aws_access_key"], 1);
  EXPECT_EQ(dropped["too_short"], 1);
  EXPECT_EQ(version["found"]["pattern:email"], 1);
  EXPECT_EQ(version["found"]["pattern:ticket"], 1);
  EXPECT_EQ(version["curation"]["contamination"]["against"][0], "exam@1");
  EXPECT_THAT(shown, HasSubstr("1 pattern:aws_access_key"));
  EXPECT_THAT(shown, HasSubstr("[AWS_ACCESS_KEY]"));
  EXPECT_THAT(shown, Not(HasSubstr(key)));
  EXPECT_THAT(shown, Not(HasSubstr("ops@acme.org")));
  std::string stored;
  for (const auto& entry : fs::directory_iterator(version["path"].get<std::string>())) {
    if (entry.is_regular_file()) stored += *ReadFile(entry.path());
  }
  EXPECT_THAT(stored, HasSubstr("[EMAIL]"));
  EXPECT_THAT(stored, HasSubstr("What was [TICKET] about"));
  EXPECT_THAT(stored, Not(HasSubstr(key)));
  EXPECT_THAT(stored, Not(HasSubstr("ops@acme.org")));
}

TEST_F(CurationTest, WhatIsWrongWithASpecIsSaidWhereItStands) {
  cluster_.Write("work/rows.jsonl", RowOf("q", "a"));
  cluster_.Write("work/bad.yaml", "curation:\n  near_duplicates: {threshold: 80}\n");
  Finished refused = cluster_.Shell("work", "attune dataset import x rows.jsonl --spec bad.yaml");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("bad.yaml:2:"));
  cluster_.Write("work/bad.yaml", "curation:\n  patterns: {emial: drop}\n");
  refused = cluster_.Shell("work", "attune dataset import x rows.jsonl --spec bad.yaml");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("'emial' is not built in"));
}

}  // namespace
}  // namespace attune::cluster
