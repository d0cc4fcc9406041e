// Answers while they are made, whatever is killed meanwhile.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class GenerateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
    ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
    std::string prompts;
    for (int i = 0; i < 200; ++i) prompts += "{\"prompt\": \"Say " + std::to_string(i) + "\"}\n";
    prompts_ = cluster_.Write("prompts.jsonl", prompts);
  }

  std::vector<std::string> Command() const {
    return {"model",
            "generate",
            "tiny",
            "--prompts",
            prompts_.string(),
            "--max-tokens",
            "200",
            "--temperature",
            "1",
            "--batch",
            "2",
            "--stream"};
  }

  // What a stream has shown by now, which other processes write.
  std::string Shown() const { return cluster_.Read("shown"); }

  Cluster cluster_;
  fs::path prompts_;
};

TEST_F(GenerateTest, AStreamGoesOnWhereATrainerOrTheCoordinatorIsKilled) {
  const Finished whole = cluster_.Attune(Command(), kPatience);
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  ASSERT_THAT(whole.out, HasSubstr("> Say 199\n"));

  const pid_t stream = cluster_.StartAttune(Command(), "shown");
  ASSERT_TRUE(Eventually([&] { return Shown().size() > whole.out.size() / 20; }));
  const std::vector<pid_t> trainers = cluster_.Trainers();
  ASSERT_EQ(trainers.size(), 1u);
  cluster_.Kill(trainers[0]);
  const size_t then = Shown().size();
  ASSERT_LT(then, whole.out.size()) << "it was killed in the middle";
  ASSERT_TRUE(Eventually([&] { return Shown().size() > then + whole.out.size() / 20; }));
  cluster_.Kill(cluster_.Pid("coordinator"));
  ASSERT_LT(Shown().size(), whole.out.size());
  cluster_.UpAgain();
  ASSERT_TRUE(Eventually([&] { return !IsAlive(stream); }));
  EXPECT_TRUE(Shown() == whole.out) << Shown();
}

}  // namespace
}  // namespace attune::cluster
