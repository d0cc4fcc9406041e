// The commands of README.md and docs/ run as they are written, and so does every job of
// configs/jobs and every job spec that a page shows.

#include <gmock/gmock.h>

#include <regex>
#include <set>
#include <sstream>

#include "common/base/files.h"
#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kUsage = 2, kUnavailable = 6;

struct Block {
  std::string heading;  // of the section it stands in
  std::string language, text;
};

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The fenced blocks of a page.
std::vector<Block> Blocks(const std::string& file) {
  std::vector<Block> blocks;
  std::string heading;
  bool inside = false;
  for (const std::string& line : Lines(*ReadFile(file))) {
    if (line.starts_with("```")) {
      if (!inside) blocks.push_back({heading, line.substr(3), ""});
      inside = !inside;
    } else if (inside) {
      blocks.back().text += line + "\n";
    } else if (line.starts_with("## ")) {
      heading = line.substr(3);
    }
  }
  return blocks;
}

// The blocks of a section, in a language.
std::vector<std::string> Of(const std::vector<Block>& blocks, const std::string& heading,
                            const std::string& language) {
  std::vector<std::string> texts;
  for (const Block& block : blocks) {
    if (block.heading == heading && block.language == language) texts.push_back(block.text);
  }
  return texts;
}

// A folder as the pages suppose it, in which a tiny model goes by the real one's name.
class DocumentedCommandsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(2));  // on free ports, which a later `attune up` keeps
    fs::path work = cluster_.home() / "work";
    testing::TinyLlama shape;
    shape.positions = 1024;
    ASSERT_TRUE(testing::WriteTinyLlama(work / "SmolLM2-135M-Instruct", shape).ok());
    fs::create_directory_symlink(fs::current_path() / "configs", work / "configs");
    job_yaml_ = Of(readme_, "A first real job", "yaml").at(0);
    cluster_.Write("work/job.yaml", job_yaml_);
    // A line as the README shows it, and others like it.
    std::smatch line;
    std::string page = *ReadFile("README.md");
    ASSERT_TRUE(std::regex_search(page, line, std::regex("`(\\{\"messages\": .*\\})`")));
    cluster_.Write("work/chats/first.jsonl", line[1].str() + "\n");
    cluster_.Write("work/chats/more.jsonl", TextRows(300));
    cluster_.Write("work/docs/rows.jsonl", TextRows(200));
    cluster_.Write("work/chats.jsonl", TextRows(20));
    cluster_.Write("work/asked.jsonl",
                   "{\"prompt\": \"Why?\", \"language\": \"en\"}\n{\"text\": \"Because.\"}\n");
    cluster_.Write("work/prompts.jsonl", "{\"prompt\": \"What is 1 plus 1?\"}\n");
  }

  std::string Succeeds(const std::string& line) {
    Finished finished = cluster_.Shell("work", line);
    EXPECT_EQ(finished.exit_code, 0) << line << "\n" << finished.out << finished.err;
    return finished.out;
  }

  void ImportWhatJobsName() {
    Succeeds("attune model import smollm2 ./SmolLM2-135M-Instruct");
    for (const char* name : {"stdlib-docs", "live-docs", "support"})
      Succeeds("attune dataset import " + std::string(name) + " docs/*.jsonl");
    // Of the tasks that learn from other rows (docs/tasks.md).
    Succeeds("attune model import all-minilm " +
             (fs::current_path() / ".deps/models/minilm").string());
    std::string tickets, preferences;
    for (int i = 0; i < 120; ++i) {
      const std::string number = std::to_string(i);
      tickets +=
          Json{{"text", "Where is my parcel " + number + "?"}, {"label", "delivery"}}.dump() + "\n";
      preferences += Json{{"prompt", "Is " + number + " even? "},
                          {"chosen", i % 2 == 0 ? "yes" : "no"},
                          {"rejected", i % 2 == 0 ? "no" : "yes"}}
                         .dump() +
                     "\n";
    }
    cluster_.Write("work/tickets.jsonl", tickets);
    cluster_.Write("work/preferences.jsonl", preferences);
    Succeeds("attune dataset import tickets tickets.jsonl");
    Succeeds("attune dataset import preferences preferences.jsonl");
  }

  const std::vector<Block> readme_ = Blocks("README.md");
  std::string job_yaml_;
  Cluster cluster_;
};

TEST_F(DocumentedCommandsTest, AFirstRealJobThatStaysInTune) {
  std::vector<std::string> lines = Lines(Of(readme_, "A first real job", "").at(0));
  ASSERT_GE(lines.size(), 7u);
  for (const std::string& line : lines) Succeeds(line);
  EXPECT_TRUE(fs::exists(cluster_.home() / "work/out/model.safetensors"));

  const std::vector<std::string> specs = Of(readme_, "Staying in tune", "yaml");
  ASSERT_EQ(specs.size(), 2u);
  cluster_.Write("work/stream.yaml", specs[0]);
  cluster_.Write("work/schedule.yaml", specs[1]);
  cluster_.Write("work/live/rows.jsonl", TextRows(60));
  lines = Lines(Of(readme_, "Staying in tune", "").at(0));
  ASSERT_GE(lines.size(), 6u);
  for (const std::string& line : lines) Succeeds(line);
}

// Whether the candidate is promoted depends on the model, here a small random one.
TEST_F(DocumentedCommandsTest, StayingInTune) {
  fs::create_directories(cluster_.home() / "work/data");
  Finished data = cluster::Run({"tools/demo-loop-data", (cluster_.home() / "work/data").string(),
                                ATTUNE_WHEELS_DIR, "--short"},
                               {}, kPatience);
  ASSERT_EQ(data.exit_code, 0) << data.err;
  int count = 0;
  for (const Block& block : Blocks("docs/tuning.md")) {
    for (const std::string& line : Lines(block.text)) {
      const bool judges = line.find("--watch") != line.npos || line.find("gates") != line.npos;
      Finished finished = cluster_.Shell("work", line, 2 * kPatience);
      EXPECT_TRUE(finished.exit_code == 0 || (judges && finished.exit_code == 1))
          << line << "\n"
          << finished.out << finished.err;
      ++count;
    }
  }
  EXPECT_GE(count, 20);
}

// Each command's section has its usage first, then examples.
// What they name takes a history to be there: docs/tuning.md has one, and evaluate_test.
bool NeedsHistory(const std::string& line) {
  for (const char* command : {"drift", "schedule", "model gates", "model evaluate"}) {
    if (line.find("attune " + std::string(command) + " ") != line.npos) return true;
  }
  return line.find("s3://") != line.npos;  // import_test has a bucket
}

TEST_F(DocumentedCommandsTest, ExamplesOfTheCommandLine) {
  ImportWhatJobsName();
  cluster_.Write("work/faq.csv", "question,answer\nWhat is 1?,A number.\nAnd 2?,Another.\n");
  fs::create_directories(cluster_.home() / ".local/share/bash-completion/completions");
  fs::create_directories(cluster_.home() / ".zfunc");
  fs::create_directories(cluster_.home() / ".config/fish/completions");
  const std::vector<Block> blocks = Blocks("docs/cli.md");
  int count = 0;
  std::set<std::string> seen;
  for (const Block& block : blocks) {
    if (block.language != "sh" || seen.insert(block.heading).second) continue;
    for (std::string line : Lines(block.text)) {
      if (NeedsHistory(line)) continue;
      line = std::regex_replace(line, std::regex("/tmp/"), (cluster_.home() / "tmp-").string());
      Succeeds(line);
      ++count;
    }
  }
  EXPECT_GE(count, 15);
}

TEST_F(DocumentedCommandsTest, RowsAreAddedToADataSet) {
  Succeeds("attune model import smollm2 ./SmolLM2-135M-Instruct");
  cluster_.Write("work/job.yaml", "base: smollm2\ndataset: questions\nmethod: full\n");
  for (const Block& block : Blocks("docs/datasets.md")) {
    if (block.language != "sh") continue;
    for (const std::string& line : Lines(block.text)) Succeeds(line);
  }
  const Json first = Json::parse(Succeeds("attune dataset show questions@1 -o json"));
  const Json second = Json::parse(Succeeds("attune dataset show questions -o json"));
  EXPECT_EQ(second["version"], 2);
  EXPECT_EQ(second["appended_to"], "questions@1");
  EXPECT_EQ(second["unlabelled"], 1);
  EXPECT_EQ(second["metadata_keys"]["language"], 1);
  const auto labelled = [](const Json& version) {
    return version["examples"]["train"].get<int>() + version["examples"]["validation"].get<int>();
  };
  EXPECT_EQ(labelled(second), labelled(first) + 1);
  // A job trains on what has answers, and on nothing else.
  const std::string spec = "base: smollm2\ndataset: DATA\nmethod: full\nranks: 1\n";
  cluster_.Write("work/all.yaml", std::regex_replace(spec, std::regex("DATA"), "questions"));
  cluster_.Write("work/none.yaml", std::regex_replace(spec, std::regex("DATA"), "prompts"));
  const Json plan = Json::parse(Succeeds("attune job submit all.yaml --dry-run -o json"));
  EXPECT_EQ(plan["datasets"][0]["train"]["examples"], second["examples"]["train"]);
  Succeeds("attune dataset import prompts prompts.jsonl --allow-unlabelled");
  Finished refused = cluster_.Shell("work", "attune job submit none.yaml");
  EXPECT_EQ(refused.exit_code, kUsage) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("prompts@1 has no example to train on"));
}

TEST_F(DocumentedCommandsTest, TheLedgerOfAJob) {
  ImportWhatJobsName();
  std::string out;
  int count = 0;
  for (const Block& block : Blocks("docs/ledger.md")) {
    if (block.language != "sh") continue;
    for (const std::string& line : Lines(block.text)) {
      out = Succeeds(line);
      ++count;
      if (line.find("-o json") == line.npos) continue;
      const Json ledger = Json::parse(out);
      EXPECT_GT(ledger["used"], 0);
      EXPECT_EQ(ledger["used"], ledger["examples"]);
      EXPECT_EQ(ledger["missing"], 0);
      EXPECT_EQ(ledger["repeated"], 0);
      // The page names every field that there is.
      const std::string page = *ReadFile("docs/ledger.md");
      for (const auto& [field, value] : ledger.items()) {
        if (field == "job_id" || field == "state" || field.starts_with("plan_")) continue;
        EXPECT_THAT(page, HasSubstr("`" + field + "`"));
      }
    }
  }
  EXPECT_EQ(count, 4);
  EXPECT_EQ(out, "");  // nothing is missing
}

// The page's context names another host: it is read, and that host is asked.
TEST_F(DocumentedCommandsTest, TheContextOfTheCommandLinesPage) {
  std::vector<std::string> contexts;
  for (const Block& block : Blocks("docs/cli.md")) {
    if (block.language == "yaml") contexts.push_back(block.text);
  }
  ASSERT_EQ(contexts.size(), 1u);
  cluster_.Write(".config/attune/config.yaml", contexts[0]);
  cluster_.Write(".config/attune/token", "0123456789abcdef\n");
  cluster_.Write(".config/attune/ca.pem", "");
  Finished list = cluster_.Attune({"job", "list", "--timeout", "1s"});
  EXPECT_EQ(list.exit_code, kUnavailable) << list.err;
  EXPECT_THAT(list.err, HasSubstr("lab.example.org:7070"));
}

TEST_F(DocumentedCommandsTest, EveryJobSpecCanBePlanned) {
  ImportWhatJobsName();
  std::map<std::string, std::string> specs;
  for (const auto& entry : fs::directory_iterator("configs/jobs"))
    specs[entry.path().filename()] = *ReadFile(entry.path());
  for (const char* page : {"README.md", "docs/design.md", "docs/job-spec.md", "docs/tasks.md"}) {
    for (const Block& block : Blocks(page)) {
      if (block.language != "yaml" || ("\n" + block.text).find("\nbase:") == std::string::npos)
        continue;
      specs[page + (" " + block.heading)] = block.text;
    }
  }
  EXPECT_GE(specs.size(), 6u);
  for (const auto& [name, text] : specs) {
    std::string file = cluster_.Write("work/spec.yaml", text);
    Finished plan = cluster_.Attune({"job", "submit", file, "--dry-run", "-o", "json"});
    ASSERT_EQ(plan.exit_code, 0) << name << "\n" << plan.err;
    EXPECT_GT(Json::parse(plan.out)["steps"], 0) << name;
  }
}

}  // namespace
}  // namespace attune::cluster
