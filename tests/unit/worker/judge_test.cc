#include "worker/trainer/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/temporary_folder.h"

namespace attune::trainer {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

std::vector<std::string> Shell(const std::string& script) {
  return {"sh", "-c", script};
}

TEST(RunJudge, GivesTheQuestionAsJsonAndTakesTheNumber) {
  const TemporaryFolder folder;
  const auto question = folder.path() / "question";
  const auto score = RunJudge(Shell("cat > " + question.string() + "; echo ' 0.75 '"), "a \"b\"\n",
                              "right", "wr\xffong");
  ASSERT_TRUE(score.ok()) << score.status().ToString();
  EXPECT_DOUBLE_EQ(*score, 0.75);
  std::ifstream stream(question);
  const auto json = nlohmann::json::parse(stream);
  EXPECT_EQ(json["prompt"], "a \"b\"\n");
  EXPECT_EQ(json["reference"], "right");
  EXPECT_EQ(json["answer"], "wr\uFFFDong");
  EXPECT_EQ(json.size(), 3u);
}

TEST(RunJudge, ItsArgumentsAreNotSplitByAShell) {
  const auto score = RunJudge(
      {"sh", "-c", "test \"$1\" = 'a b; exit 3' && echo 1", "sh", "a b; exit 3"}, "", "", "");
  ASSERT_TRUE(score.ok()) << score.status().ToString();
  EXPECT_EQ(*score, 1);
}

// More than a pipe holds, to a judge that reads nothing of it.
TEST(RunJudge, NeedNotReadItsInput) {
  const auto score = RunJudge(Shell("echo 0"), std::string(1 << 20, 'a'), "", "");
  ASSERT_TRUE(score.ok()) << score.status().ToString();
  EXPECT_EQ(*score, 0);
}

TEST(RunJudge, MayReadALongInputBeforeItAnswers) {
  const auto score =
      RunJudge(Shell("test $(wc -c) -gt 1000000 && echo 1"), std::string(1 << 20, 'a'), "", "");
  ASSERT_TRUE(score.ok()) << score.status().ToString();
}

TEST(RunJudge, WhatIsNoNumberFromZeroToOneIsRefused) {
  for (const char* output : {"", "good", "1.5", "-0.1", "0.5 0.5", "nan", "inf"}) {
    const auto score = RunJudge({"printf", "%s\\n", output}, "", "", "");
    ASSERT_FALSE(score.ok()) << output;
    EXPECT_EQ(score.status().code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(score.status().message(), HasSubstr("one number from 0 to 1"));
  }
  EXPECT_THAT(RunJudge(Shell("yes"), "", "", "").status().message(), HasSubstr("4096 bytes"));
}

TEST(RunJudge, AFailureSaysHow) {
  for (const auto& [command, message] : std::map<std::vector<std::string>, std::string>{
           {Shell("echo 1; exit 3"), "ended with exit code 3"},
           {Shell("echo no model >&2; exit 3"), "exit code 3; on standard error: no model"},
           {Shell("echo no idea >&2; echo good"), "from 0 to 1; on standard error: no idea"},
           {Shell("kill -9 $$"), "signal 9"},
           {{"/no/such/judge"}, "/no/such/judge"}}) {
    const Status status = RunJudge(command, "", "", "").status();
    // Not for the infrastructure: the same would come of it again.
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << message;
    EXPECT_THAT(status.message(), HasSubstr(message));
  }
}

TEST(RunJudge, OfALongStandardErrorTheEndIsKept) {
  const Status status =
      RunJudge(Shell("yes '\xff' | head -c 300000 >&2; echo the end >&2; exit 1"), "", "", "")
          .status();
  EXPECT_THAT(status.message(), ::testing::EndsWith("the end"));
  EXPECT_LT(status.message().size(), 5000u);
}

TEST(RunJudge, OneThatAnswersMayWriteToStandardError) {
  EXPECT_TRUE(RunJudge(Shell("yes | head -c 300000 >&2; echo 1"), "", "", "").ok());
}

TEST(RunJudge, ItsTimeIsLimitedAndItsGroupDiesWithIt) {
  const TemporaryFolder folder;
  const auto pid_file = folder.path() / "pid";
  const auto late = RunJudge(Shell("sleep 600 & echo $! > " + pid_file.string() + "; wait"), "", "",
                             "", {.deadline = milliseconds(300)});
  EXPECT_EQ(late.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(late.status().message(), HasSubstr("took longer"));
  pid_t sleeper = 0;
  std::ifstream(pid_file) >> sleeper;
  ASSERT_GT(sleeper, 0);
  // Killed, though perhaps not reaped yet by whoever has it now.
  const auto state = [&] {
    std::ifstream stat("/proc/" + std::to_string(sleeper) + "/stat");
    std::string pid, name, letter;
    stat >> pid >> name >> letter;
    return letter;
  };
  for (int i = 0; i < 1000 && !state().empty() && state() != "Z"; ++i) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_TRUE(state().empty() || state() == "Z") << state();
}

TEST(RunJudge, SeesNoVariableOfOurs) {
  setenv("ATTUNE_SECRET", "x", 1);
  setenv("OTHER_SETTING", "y", 1);
  const auto score = RunJudge(
      Shell("test -z \"$ATTUNE_SECRET\" && test \"$OTHER_SETTING\" = y && echo 1"), "", "", "");
  unsetenv("ATTUNE_SECRET");
  unsetenv("OTHER_SETTING");
  EXPECT_TRUE(score.ok()) << score.status().ToString();
}

TEST(ReadJudgeCommands, TakesListsOfStringsByName) {
  const auto commands = ReadJudgeCommands(R"({"a": ["x", "--y"], "b": ["z"]})");
  ASSERT_TRUE(commands.ok());
  EXPECT_THAT(commands->at("a"), ::testing::ElementsAre("x", "--y"));
  EXPECT_EQ(commands->size(), 2u);
  for (const char* wrong : {"", "[]", R"({"a": "x"})", R"({"a": []})", R"({"a": [1]})"}) {
    EXPECT_EQ(ReadJudgeCommands(wrong).status().code(), StatusCode::kInvalidArgument) << wrong;
  }
}

}  // namespace
}  // namespace attune::trainer
