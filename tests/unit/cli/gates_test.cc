#include "common/gates/gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/gates/facts.h"
#include "tests/unit/cli/cli_runner.h"
#include "tests/unit/cli/fake_coordinator.h"
#include "tests/unit/gates/facts.h"
#include "tools/cli/format.h"

namespace attune::cli {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class GatesTest : public ::testing::Test {
 protected:
  // change: of the candidate's loss on a skill with budget 0.05.
  std::string FactsOf(double change) {
    gates::FactsBuilder builder;
    builder.AddLosses("goal", 60, 2.0, -0.3);
    builder.AddLosses("stdlib", 60, 1.9, change, 0.02, 2);
    builder.RequireChampion("loss", 0.0);
    builder.Retain("stdlib", "loss", 0.05);
    builder.AskMax("loss", 2.0);
    builder.facts().mutable_candidate()->set_job_id("job-a");
    builder.facts().mutable_champion()->set_job_id("job-b");
    return gates::SerializeFacts(builder.facts());
  }
  TemporaryFolder folder_;
};

TEST_F(GatesTest, DecidesAgainFromAFileWithoutACoordinator) {
  CliRunner cli;
  const std::string good = folder_.Write("good.facts", FactsOf(0.0)),
                    bad = folder_.Write("bad.facts", FactsOf(0.3));
  ASSERT_EQ(cli.Run({"model", "gates", "--facts", good}), kExitOk) << cli.err();
  EXPECT_THAT(cli.out(), AllOf(HasSubstr("passed all 5 gates"), HasSubstr("job-a, job-b"),
                               HasSubstr(Sha256Hex(FactsOf(0.0)))));
  ASSERT_EQ(cli.Run({"model", "gates", "--facts", bad}), kExitFailed);
  EXPECT_THAT(cli.out(), AllOf(HasSubstr("refused: forgets stdlib: loss"),
                               HasSubstr("stdlib  loss"), Not(HasSubstr("Prompt"))));
  cli.Run({"model", "gates", "--facts", bad, "--examples"});
  EXPECT_THAT(cli.out(), HasSubstr("retention stdlib: what speaks most against it"));
  EXPECT_THAT(cli.out(), HasSubstr("Prompt   prompt "));
  cli.Run({"model", "gates", "--facts", bad, "-o", "json"});
  const json report = json::parse(cli.out());
  EXPECT_EQ(report["verdict"], "FAILED");
  EXPECT_EQ(report["skills"][0]["skill"], "stdlib");
  EXPECT_EQ(report["job_ids"], json({"job-a", "job-b"}));
}

TEST_F(GatesTest, TheTablesFitTheTerminal) {
  CliRunner cli;
  const std::string file = folder_.Write("bad.facts", FactsOf(0.3));
  for (int width : {60, 80, 120}) {
    cli.SetTerminal(width);
    cli.SetEnv("NO_COLOR", "1");
    cli.Run({"model", "gates", "--facts", file, "--examples"});
    std::istringstream lines(cli.out());
    for (std::string line; std::getline(lines, line);) {
      if (line.find("Checksum") != line.npos || line.find("Facts") != line.npos) continue;
      EXPECT_LE(DisplayWidth(line), static_cast<size_t>(std::max(width, 80))) << line;
    }
  }
}

TEST_F(GatesTest, AModelsWordsDoNotControlTheTerminal) {
  gates::FactsBuilder builder;
  builder.spec().add_smoke();
  v1::SmokeFacts* smoke = builder.facts().mutable_candidate()->add_smoke();
  smoke->set_prompt("a\nb");
  smoke->set_answer(
      "\x1b[2Jx\xc2\x9b"
      "1m\x7f");
  smoke->set_why("\x1b]0;owned\x07");
  const std::string file = folder_.Write("smoke.facts", gates::SerializeFacts(builder.facts()));
  CliRunner cli;
  ASSERT_EQ(cli.Run({"model", "gates", "--facts", file, "--examples"}), kExitFailed) << cli.err();
  EXPECT_THAT(cli.out(), HasSubstr("a b"));
  for (const char* control : {"\x1b", "\x07", "\x7f", "\xc2\x9b"}) {
    EXPECT_THAT(cli.out(), Not(HasSubstr(control)));
  }
}

TEST_F(GatesTest, ShowsAndSavesWhatTheCoordinatorKept) {
  FakeCoordinator fake;
  CliRunner cli(fake.address());
  fake.gate_facts = FactsOf(0.0);
  v1::GateReport report = *gates::Decide(*gates::ParseFacts(fake.gate_facts));
  report.set_facts_checksum(Sha256Hex(fake.gate_facts));
  fake.gate_reports["docs@2"] = report;
  const std::string path = folder_.path() / "saved.facts";
  ASSERT_EQ(cli.Run({"model", "gates", "docs@2", "--save", path, "-o", "json"}), kExitOk)
      << cli.err();
  EXPECT_EQ(*ReadFile(path), fake.gate_facts);
  json kept = json::parse(cli.out());
  // Deciding again from what was saved says the same.
  ASSERT_EQ(cli.Run({"model", "gates", "--facts", path, "-o", "json"}), kExitOk) << cli.err();
  json again = json::parse(cli.out());
  EXPECT_EQ(again["gates"], kept["gates"]);
  EXPECT_EQ(again["facts_checksum"], kept["facts_checksum"]);

  // What came is not what the report followed from.
  fake.gate_facts += "x";
  const std::string other = folder_.path() / "other.facts";
  EXPECT_EQ(cli.Run({"model", "gates", "docs@2", "--save", other}), kExitFailed);
  EXPECT_THAT(cli.err(), HasSubstr("are not those of the report"));
  EXPECT_FALSE(std::filesystem::exists(other));
}

TEST_F(GatesTest, SaysWhatIsWrong) {
  FakeCoordinator fake;
  CliRunner cli(fake.address());
  EXPECT_EQ(cli.Run({"model", "gates", "docs@9"}), kExitNotFound);
  EXPECT_EQ(cli.Run({"model", "gates"}), kExitUsage);
  EXPECT_EQ(cli.Run({"model", "gates", "docs@2", "--facts", "x"}), kExitUsage);
  EXPECT_EQ(cli.Run({"model", "gates", "--facts", "x", "--save", "y"}), kExitUsage);
  EXPECT_EQ(cli.Run({"model", "gates", "--facts", folder_.path() / "absent"}), kExitNotFound);
  const std::string file = folder_.Write("junk.facts", "junk");
  EXPECT_EQ(cli.Run({"model", "gates", "--facts", file}), kExitUsage);
  EXPECT_THAT(cli.err(), HasSubstr("junk.facts: not the facts of a verdict"));
}

}  // namespace
}  // namespace attune::cli
