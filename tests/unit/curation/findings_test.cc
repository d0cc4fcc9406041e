#include "coordinator/curation/findings.h"

#include <gmock/gmock.h>

#include "common/base/utf8.h"
#include "tests/support/temporary_folder.h"

namespace attune::curation {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

Finding Short(uint64_t line) {
  return {"too_short", "drop", "a.jsonl", line, "00ff", "3 characters", "Hi!"};
}

TEST(Findings, AreReadAsTheyWereWritten) {
  const TemporaryFolder folder;
  FindingsWriter writer(folder.path());
  ASSERT_TRUE(writer.Add(Short(7)).ok());
  ASSERT_TRUE(
      writer.Add({"pattern:email", "redact", "b \"x\".jsonl", 2, "01", "", "ü\n\xff"}).ok());
  EXPECT_THAT(writer.dropped(), UnorderedElementsAre(Pair("too_short", 1)));
  EXPECT_THAT(writer.kept(), UnorderedElementsAre(Pair("pattern:email", 1)));
  const std::string sha256 = *writer.Finish();
  std::vector<Finding> read;
  const auto take = [&](const Finding& finding) {
    read.push_back(finding);
    return true;
  };
  ASSERT_TRUE(ReadFindings(folder.path(), sha256, take).ok());
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].line, 7u);
  EXPECT_EQ(read[0].evidence, "3 characters");
  EXPECT_EQ(read[1].file, "b \"x\".jsonl");
  EXPECT_EQ(read[1].words, ToValidUtf8("ü\n\xff"));
}

// What is set aside until it is known which examples stay has the counts of all, and few whole.
TEST(Findings, AreOnlyCountedBeyondTheFirstWhileTheyAreUndecided) {
  const TemporaryFolder folder;
  FindingsWriter writer(folder.path());
  UndecidedFindings undecided;
  Finding finding = Short(1);
  finding.action = "report";
  finding.file = std::string(1000, 'f');
  for (uint64_t i = 0; i < kUndecidedKept; ++i) undecided.Format(finding);
  const std::string line = undecided.Format(finding);
  EXPECT_LT(line.size(), 100u);
  ASSERT_TRUE(writer.Add(*ParseFinding(std::string_view(line).substr(0, line.size() - 1))).ok());
  EXPECT_THAT(writer.kept(), UnorderedElementsAre(Pair("too_short", 1)));
  EXPECT_EQ(*writer.Finish(), "") << "it is not listed";
  finding.reason = "too_long";
  EXPECT_GT(undecided.Format(finding).size(), 1000u) << "each reason has its own first ones";
}

TEST(Findings, AreBoundedByReasonAndInAll) {
  const TemporaryFolder folder;
  FindingsWriter writer(folder.path());
  for (int reason = 0; reason < 12; ++reason) {
    Finding finding = Short(1);
    finding.reason = "pattern:p" + std::to_string(reason);
    for (uint64_t i = 0; i < kFindingsOfReasonKept + 10; ++i) ASSERT_TRUE(writer.Add(finding).ok());
  }
  const std::string sha256 = *writer.Finish();
  uint64_t read = 0, of_first = 0;
  ASSERT_TRUE(ReadFindings(folder.path(), sha256, [&](const Finding& finding) {
                ++read;
                of_first += finding.reason == "pattern:p0" ? 1 : 0;
                return true;
              }).ok());
  EXPECT_EQ(read, kFindingsKept);
  EXPECT_EQ(of_first, kFindingsOfReasonKept);
  EXPECT_THAT(writer.dropped(), ::testing::Each(Pair(::testing::_, kFindingsOfReasonKept + 10)));
}

TEST(Findings, AreCountedBeforeTheyAreWhole) {
  const TemporaryFolder folder;
  FindingsWriter writer(folder.path());
  std::vector<Finding> kept;
  for (uint64_t i = 0; i < kFindingsOfReasonKept + 1; ++i) {
    if (writer.Count(Short(i))) kept.push_back(Short(i));
  }
  EXPECT_THAT(writer.dropped(), UnorderedElementsAre(Pair("too_short", kFindingsOfReasonKept + 1)));
  ASSERT_EQ(kept.size(), kFindingsOfReasonKept);
  ASSERT_TRUE(writer.Write(kept.front()).ok());
  EXPECT_THAT(writer.dropped(), UnorderedElementsAre(Pair("too_short", kFindingsOfReasonKept + 1)));
  EXPECT_THAT(FormatFinding(kept.front()), ::testing::EndsWith("\n"));
  EXPECT_NE(*writer.Finish(), "");
}

TEST(Findings, WithoutAnyThereIsNoFile) {
  const TemporaryFolder folder;
  FindingsWriter writer(folder.path());
  EXPECT_EQ(*writer.Finish(), "");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(ReadFindings, NamesTheDamagedFile) {
  const TemporaryFolder folder;
  FindingsWriter writer(folder.path());
  ASSERT_TRUE(writer.Add(Short(1)).ok());
  const std::string sha256 = *writer.Finish();
  const auto none = [](const Finding&) {
    ADD_FAILURE();
    return false;
  };
  folder.Append(kFindingsFile, " ");
  Status status = ReadFindings(folder.path(), sha256, none);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("findings.jsonl: the checksum"));
  std::filesystem::remove(folder.path() / kFindingsFile);
  EXPECT_THAT(ReadFindings(folder.path(), sha256, none).message(), HasSubstr("is missing"));
  EXPECT_EQ(ParseFinding("[]").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(ParseFinding("{\"reason\": 1}").status().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace attune::curation
