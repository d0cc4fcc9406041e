#include "common/base/files.h"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/unit/ledger/run.h"

namespace attune::ledger {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using PlanFileTest = RunTest;

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST_F(PlanFileTest, IsReadAsItWasWritten) {
  EXPECT_EQ(plan_->shape().examples, 5u);
  EXPECT_EQ(plan_->shape().steps_an_epoch, 3u);
  EXPECT_EQ(plan_->shape().steps, 5u);
  EXPECT_EQ(plan_->shape().epochs(), 2u);
  EXPECT_EQ(plan_->shape().digest, kDigest);
  for (uint64_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(std::ranges::equal(plan_->Id(i), IdOf(i)));
    for (uint32_t epoch = 0; epoch < 2; ++epoch) EXPECT_EQ(plan_->Step(epoch, i), kSteps[epoch][i]);
  }
  EXPECT_EQ(plan_->bytes(), 96 + 5 * 16 + 2 * 5 * 4 + 64u);
}

TEST_F(PlanFileTest, DamageIsSeen) {
  const std::string whole = *ReadFile(folder_.path() / "plan");
  ASSERT_TRUE(PlanFile::Parse(BytesOf(whole)).ok());
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_EQ(PlanFile::Parse(BytesOf(damaged)).status().code(), StatusCode::kDataLoss) << i;
    EXPECT_FALSE(PlanFile::Parse(BytesOf(whole.substr(0, i))).ok()) << i;
  }
  EXPECT_EQ(PlanFile::Open(folder_.path() / "absent").status().code(), StatusCode::kNotFound);
}

TEST_F(PlanFileTest, StepsOutsideTheirEpochAreDamage) {
  std::string text = *ReadFile(folder_.path() / "plan");
  text[96 + 5 * 16] = 4;  // example 0 in the first epoch
  text.replace(text.size() - 64, 64, Sha256Hex(text.substr(0, text.size() - 64)));
  EXPECT_THAT(PlanFile::Parse(BytesOf(text)).status().message(), HasSubstr("step is out of range"));
}

TEST(StepLog, IsReadAsItWasAppended) {
  TemporaryFolder folder;
  const fs::path run = folder.path() / "runs/job";
  for (const uint32_t generation : {2u, 1u}) {
    auto writer =
        StepLogWriter::Create(run, {generation, 3, generation - 1, generation - 1, kDigest});
    ASSERT_TRUE(writer.ok()) << writer.status().ToString();
    for (uint32_t s = generation; s <= 3; ++s) ASSERT_TRUE(writer->Add({s, Planned(s)}).ok());
    ASSERT_TRUE(writer->Sync().ok());
  }
  const auto logs = ReadStepLogs(run);
  ASSERT_TRUE(logs.ok()) << logs.status().ToString();
  ASSERT_THAT(*logs, SizeIs(2));
  EXPECT_EQ((*logs)[0].attempt.generation, 1u);
  EXPECT_EQ((*logs)[1].attempt.resumed_step, 1u);
  EXPECT_EQ((*logs)[1].attempt.ranks, 3u);
  ASSERT_THAT((*logs)[1].steps, SizeIs(2));
  EXPECT_EQ((*logs)[1].steps[0].step, 2u);
  EXPECT_EQ((*logs)[1].steps[0].sum, Planned(2));
  EXPECT_THAT(*ReadStepLogs(folder.path() / "none"), SizeIs(0));
}

TEST(StepLog, AHalfWrittenRecordIsIgnoredAndADamagedOneIsNot) {
  TemporaryFolder folder;
  {
    auto writer = StepLogWriter::Create(folder.path(), {1, 1, 0, 0, kDigest});
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->Add({1, Planned(1)}).ok());
    ASSERT_TRUE(writer->Add({2, Planned(2)}).ok());
  }
  const std::string whole = *ReadFile(folder.path() / "ledger/generation-00000001");
  EXPECT_THAT(ParseStepLog(BytesOf(whole.substr(0, whole.size() - 1)))->steps, SizeIs(1));
  for (size_t i = 96; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] + 1);
    EXPECT_EQ(ParseStepLog(BytesOf(damaged)).status().code(), StatusCode::kDataLoss) << i;
  }
  EXPECT_FALSE(ParseStepLog(BytesOf(whole.substr(0, 95))).ok());
  fs::rename(folder.path() / "ledger/generation-00000001",
             folder.path() / "ledger/generation-00000002");
  EXPECT_THAT(ReadStepLogs(folder.path()).status().message(), HasSubstr("of another attempt"));
}

// A process that was started again for the same attempt, before any step.
TEST(StepLog, AnAttemptThatBeginsAgainBeginsItsFileAgain) {
  TemporaryFolder folder;
  for (int time = 0; time < 2; ++time) {
    auto writer = StepLogWriter::Create(folder.path(), {1, 1, 0, 0, kDigest});
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->Add({1, Planned(1)}).ok());
  }
  EXPECT_THAT(ReadStepLogs(folder.path())->at(0).steps, SizeIs(1));
}

}  // namespace
}  // namespace attune::ledger
