#include "tools/cli/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/cli_runner.h"

namespace attune::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(const std::vector<std::string>& args) {
  auto parsed = ParseCommandLine(args);
  return parsed.ok() ? "no error" : parsed.status().message();
}

TEST(ParseCommandLine, ArgumentsOptionsAndGlobalsInAnyOrder) {
  auto parsed = ParseCommandLine({"job", "-o", "json", "submit", "--set", "a=1", "f.yaml",
                                  "--watch", "--set", "b=2", "--address", "h:1"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->command, FindCommand("job", "submit"));
  EXPECT_EQ(parsed->arguments.Get("FILE"), "f.yaml");
  EXPECT_THAT(parsed->arguments.All("--set"), ElementsAre("a=1", "b=2"));
  EXPECT_TRUE(parsed->arguments.Has("--watch"));
  EXPECT_FALSE(parsed->arguments.Has("--dry-run"));
  EXPECT_EQ(parsed->arguments.Get("--output"), "json");
  EXPECT_EQ(parsed->arguments.Get("--address"), "h:1");
}

TEST(ParseCommandLine, ShortOptionsDefaultsAndRepeatedArguments) {
  auto parsed =
      ParseCommandLine({"dataset", "import", "name", "a.jsonl", "b.jsonl", "--validation", "0.1"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_THAT(parsed->arguments.All("FILES"), ElementsAre("a.jsonl", "b.jsonl"));
  EXPECT_DOUBLE_EQ(parsed->arguments.Number("--validation"), 0.1);
  EXPECT_EQ(parsed->arguments.Get("--output"), "table");
  EXPECT_EQ(parsed->arguments.Number("--timeout"), 15);
  EXPECT_TRUE(ParseCommandLine({"job", "logs", "x", "-f"})->arguments.Has("--follow"));
}

TEST(ParseCommandLine, StandardInputIsAnArgument) {
  auto parsed = ParseCommandLine({"job", "submit", "-"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->arguments.Get("FILE"), "-");
}

TEST(ParseCommandLine, ANameMayBeACommandsName) {
  auto parsed = ParseCommandLine({"job", "show", "status"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->command, FindCommand("job", "show"));
  EXPECT_EQ(parsed->arguments.Get("JOB"), "status");
  parsed = ParseCommandLine({"dataset", "import", "job", "list", "show"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_THAT(parsed->arguments.All("FILES"), ElementsAre("list", "show"));
}

TEST(ParseCommandLine, OneProgramParsesTwice) {
  ASSERT_TRUE(ParseCommandLine({"job", "list", "--all"})->arguments.Has("--all"));
  EXPECT_FALSE(ParseCommandLine({"job", "list"})->arguments.Has("--all"));
}

TEST(ParseCommandLine, SaysWhatIsWrongAndWhatToDo) {
  EXPECT_THAT(ErrorOf({"jbo", "list"}),
              HasSubstr("unknown command 'jbo'; did you mean 'attune job'?"));
  EXPECT_THAT(ErrorOf({"job", "sumbit"}), HasSubstr("did you mean 'attune job submit'?"));
  EXPECT_THAT(ErrorOf({"job", "list", "--stat", "x"}),
              HasSubstr("unknown option '--stat'; did you mean '--state'?"));
  EXPECT_THAT(ErrorOf({"job", "list", "-o", "xml"}),
              HasSubstr("--output must be table, json, jsonl, yaml or name"));
  EXPECT_THAT(ErrorOf({"job", "show"}), HasSubstr("JOB is required; see `attune job show --help`"));
  EXPECT_THAT(ErrorOf({"job", "show", "a", "b"}), HasSubstr("unexpected argument 'b'"));
  EXPECT_THAT(ErrorOf({"up", "--workers", "two"}), HasSubstr("--workers must be a whole number"));
  EXPECT_THAT(ErrorOf({"up", "--workers", "-1"}), HasSubstr("--workers must be a whole number"));
  EXPECT_THAT(ErrorOf({"down", "--grace", "5"}), HasSubstr("--grace must be a duration"));
}

TEST(Run, ExitCodesAndStreamsOfHelp) {
  CliRunner cli;
  EXPECT_EQ(cli.Run({"--help"}), kExitOk);
  EXPECT_THAT(cli.out(), HasSubstr("job submit"));
  EXPECT_EQ(cli.Run({}), kExitUsage);
  EXPECT_EQ(cli.out(), "");
  EXPECT_THAT(cli.err(), HasSubstr("Usage: attune COMMAND"));
  EXPECT_EQ(cli.Run({"job"}), kExitUsage);
  EXPECT_THAT(cli.err(), HasSubstr("Usage: attune job VERB"));
  EXPECT_EQ(cli.Run({"job", "submit", "--help"}), kExitOk);
  EXPECT_THAT(cli.out(), HasSubstr("--set KEY=VALUE"));
  EXPECT_EQ(cli.Run({"help", "job", "submit"}), kExitOk);
  EXPECT_THAT(cli.out(), HasSubstr("--set KEY=VALUE"));
  EXPECT_EQ(cli.Run({"help", "job", "sbmit"}), kExitUsage);
  EXPECT_EQ(cli.Run({"bogus"}), kExitUsage);
}

TEST(Commands, EveryOneIsCompleteAndDistinct) {
  std::set<std::string> names;
  for (const Command& command : Commands()) {
    EXPECT_TRUE(names.insert(command.Name()).second) << command.Name();
    EXPECT_FALSE(command.summary.empty()) << command.Name();
    EXPECT_NE(command.run, nullptr) << command.Name();
    for (const auto* parameters : {&command.arguments, &command.options}) {
      for (const Parameter& parameter : *parameters) {
        EXPECT_TRUE(parameter.doc.ends_with(".")) << command.Name() << " " << parameter.name;
      }
    }
  }
}

}  // namespace
}  // namespace attune::cli
