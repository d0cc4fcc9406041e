// attune doctor --parity, with a script in place of the trainer.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <fstream>

#include "tests/unit/cli/cli_runner.h"

namespace attune::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Row(int number, const std::string& gradient, bool ok) {
  return "{\"row\":" + std::to_string(number) +
         ",\"rows\":2,\"tolerance\":1e-05,\"method\":\"full\",\"world_size\":" +
         std::to_string(number) +
         ",\"micro_batch\":8,\"accumulation\":6,\"packing\":false,\"activation_checkpointing\":"
         "true,\"reference\":" +
         (number == 1 ? "true" : "false") +
         ",\"loss\":4.25,\"grad_norm\":2,\"loss_difference\":0,\"grad_norm_difference\":1e-07,"
         "\"gradient_difference\":" +
         gradient + ",\"adamw_difference\":3e-08,\"ok\":" + (ok ? "true" : "false") + "}";
}

class DoctorParityTest : public ::testing::Test {
 protected:
  void SetUp() override { setenv("ATTUNE_BIN_DIR", folder_.path().c_str(), 1); }
  void TearDown() override { unsetenv("ATTUNE_BIN_DIR"); }

  int RunWith(const std::string& script, std::vector<std::string> more = {}) {
    folder_.WriteScript("attune-trainer", script);
    more.insert(more.begin(), {"doctor", "--parity"});
    return runner_.Run(more);
  }
  static std::string Print(const std::string& line) { return "echo '" + line + "'\n"; }

  TemporaryFolder folder_;
  CliRunner runner_;
};

TEST_F(DoctorParityTest, PrintsTheTableAndWhatItShows) {
  EXPECT_EQ(RunWith(Print(Row(1, "0", true)) + "echo a library says something >&2\n" +
                    Print(Row(2, "2.5e-07", true))),
            kExitOk)
      << runner_.err();
  EXPECT_THAT(runner_.out(), HasSubstr("MICRO-BATCH"));
  EXPECT_THAT(runner_.out(), HasSubstr("reference"));
  EXPECT_THAT(runner_.out(), HasSubstr("2.5e-07"));
  EXPECT_THAT(runner_.out(), HasSubstr("The update is the same in all 2 ways, within 1e-05."));
  EXPECT_EQ(runner_.out_lines(), 5);
}

TEST_F(DoctorParityTest, AnUpdateThatDiffersIsAFailure) {
  EXPECT_EQ(RunWith(Print(Row(1, "0", true)) + Print(Row(2, "0.03", false)) + "exit 1\n"),
            kExitFailed);
  EXPECT_THAT(runner_.out(), HasSubstr("OFF"));
  EXPECT_THAT(runner_.out(), HasSubstr("1 of 2 ways make another update: more than 1e-05 apart"));
  // Also one that is no number.
  EXPECT_EQ(RunWith(Print(Row(1, "0", true)) + Print(Row(2, "null", false)) + "exit 1\n"),
            kExitFailed);
  EXPECT_THAT(runner_.out(), HasSubstr("no number"));
}

TEST_F(DoctorParityTest, SaysTheSameToMachines) {
  EXPECT_EQ(RunWith(Print(Row(1, "0", true)) + Print(Row(2, "2.5e-07", true)), {"-o", "json"}),
            kExitOk);
  const auto report = nlohmann::json::parse(runner_.out());
  EXPECT_EQ(report.at("ok"), true);
  EXPECT_EQ(report.at("device"), "cpu");
  EXPECT_EQ(report.at("tolerance"), 1e-5);
  EXPECT_EQ(report.at("largest").at("gradient_difference"), 2.5e-7);
  ASSERT_EQ(report.at("rows").size(), 2u);
  EXPECT_EQ(report.at("rows")[1].at("world_size"), 2);
  EXPECT_FALSE(report.at("rows")[1].contains("row"));
}

TEST_F(DoctorParityTest, ATrainerThatEndsEarlyIsAFailureWithItsLastWords) {
  EXPECT_EQ(RunWith(Print(Row(1, "0", true)) + "echo 'no such device' >&2\nexit 1\n"), kExitFailed);
  EXPECT_THAT(runner_.err(), HasSubstr("ended before the proof did: no such device"));
  EXPECT_EQ(runner_.out(), "");
}

TEST_F(DoctorParityTest, TellsTheTrainerWhatToTry) {
  EXPECT_EQ(RunWith("echo \"$@\" >&2\n", {"--device", "cuda", "--model", "/models/mine"}),
            kExitFailed);
  EXPECT_THAT(runner_.err(), HasSubstr("--device cuda --model /models/mine"));
  EXPECT_EQ(runner_.Run({"doctor", "--model", "/models/mine"}), kExitUsage);
}

TEST_F(DoctorParityTest, AnInterruptEndsTheTrainer) {
  runner_.interrupted() = true;
  const std::string file = (folder_.path() / "pid").string();
  EXPECT_EQ(RunWith("echo $$ > " + file + "; exec sleep 1000\n"), kExitInterrupted);
  std::ifstream in(file);
  pid_t pid = 0;
  // It may have been ended before it wrote its number.
  if (in >> pid) EXPECT_NE(kill(pid, 0), 0);
  EXPECT_THAT(runner_.err(), HasSubstr("interrupted"));
}

}  // namespace
}  // namespace attune::cli
