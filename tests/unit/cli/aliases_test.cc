#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/rpc/rpc.h"
#include "tests/unit/cli/cli_runner.h"
#include "tests/unit/cli/fake_coordinator.h"

namespace attune::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class AliasesTest : public ::testing::Test {
 protected:
  AliasesTest() : cli_(fake_.address()) {}

  void AddMove(uint64_t sequence, uint32_t from, uint32_t to, const std::string& kind) {
    v1::AliasMove move;
    move.set_sequence(sequence);
    move.set_model("docs");
    move.set_alias("champion");
    move.set_from_version(from);
    move.set_to_version(to);
    move.set_kind(kind);
    move.set_actor("user:alice");
    move.set_reason("reason " + std::to_string(sequence));
    move.mutable_time()->set_seconds(1700000000);
    fake_.moves.insert(fake_.moves.begin(), move);
  }

  FakeCoordinator fake_;
  CliRunner cli_;
};

TEST_F(AliasesTest, PromoteSendsWhatWasSaid) {
  ASSERT_EQ(
      cli_.Run({"model", "promote", "docs@3", "--reason", "better", "--evidence", "update-1"}),
      kExitOk)
      << cli_.err();
  EXPECT_THAT(cli_.out(), HasSubstr("docs@champion"));
  EXPECT_THAT(cli_.out(), HasSubstr("user:alice (set)"));
  const v1::SetAliasRequest request = fake_.set_alias();
  EXPECT_EQ(request.model(), "docs@3");
  EXPECT_EQ(request.alias(), "champion");
  EXPECT_EQ(request.reason(), "better");
  EXPECT_EQ(request.evidence(), "update-1");
  EXPECT_NE(request.request_id(), "");
  EXPECT_FALSE(request.has_expected_version());
  ASSERT_EQ(
      cli_.Run({"model", "promote", "docs@3", "--alias", "shadow", "--expect", "0", "-o", "name"}),
      kExitOk);
  EXPECT_EQ(cli_.out(), "docs@shadow\n");
  EXPECT_TRUE(fake_.set_alias().has_expected_version());
  EXPECT_EQ(fake_.set_alias().expected_version(), 0u);
}

TEST_F(AliasesTest, RollbackAndUnalias) {
  ASSERT_EQ(cli_.Run({"model", "rollback", "docs", "--reason", "answers in French", "-o", "json"}),
            kExitOk)
      << cli_.err();
  EXPECT_EQ(json::parse(cli_.out())["last"]["kind"], "rollback");
  EXPECT_EQ(fake_.rolled_back().alias(), "champion");
  EXPECT_EQ(fake_.rolled_back().reason(), "answers in French");
  ASSERT_EQ(cli_.Run({"model", "unalias", "docs", "shadow"}), kExitOk) << cli_.err();
  EXPECT_EQ(cli_.out(), "docs@shadow is deleted; its history stays\n");
}

TEST_F(AliasesTest, RefusalsHaveTheirExitCodes) {
  fake_.refuse_alias = rpc::ToGrpc(Status(StatusCode::kPermissionDenied, "bob may not"));
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"model", "promote", "docs@3"},
        {"model", "rollback", "docs"},
        {"model", "unalias", "docs", "shadow"},
        {"model", "prune", "docs", "--keep", "1"}}) {
    EXPECT_EQ(cli_.Run(args), kExitDenied) << args[1];
    EXPECT_EQ(cli_.err(), "error: bob may not\n");
    EXPECT_EQ(cli_.out(), "");
  }
  fake_.refuse_alias = rpc::ToGrpc(FailedPrecondition("it points at version 4"));
  EXPECT_EQ(cli_.Run({"model", "promote", "docs@3", "--expect", "2"}), kExitConflict);
}

TEST_F(AliasesTest, HistoryReadsEveryPage) {
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) {
    AddMove(sequence, static_cast<uint32_t>(sequence - 1), static_cast<uint32_t>(sequence), "set");
  }
  ASSERT_EQ(cli_.Run({"model", "history", "docs", "-o", "json"}), kExitOk) << cli_.err();
  const json moves = json::parse(cli_.out());
  ASSERT_EQ(moves.size(), 5u);
  EXPECT_EQ(moves[0]["sequence"], 5);
  EXPECT_EQ(moves[4]["from_version"], 0);
  ASSERT_EQ(cli_.Run({"model", "history", "docs", "--limit", "3", "-o", "jsonl"}), kExitOk);
  EXPECT_EQ(cli_.out_lines(), 3);
  ASSERT_EQ(cli_.Run({"model", "history", "docs"}), kExitOk);
  EXPECT_EQ(cli_.out_lines(), 6);
  EXPECT_THAT(cli_.out(), HasSubstr("set      -   1  user:alice  reason 1"));
}

TEST_F(AliasesTest, TablesFitTheTerminal) {
  AddMove(1, 0, 1, "set");
  fake_.moves[0].set_reason(std::string(200, 'r'));
  cli_.SetTerminal(60);
  for (const char* verb : {"history", "aliases"}) {
    ASSERT_EQ(cli_.Run({"model", verb, "docs", "--no-color"}), kExitOk) << cli_.err();
    std::istringstream lines(cli_.out());
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 62u) << line;
  }
}

TEST_F(AliasesTest, Aliases) {
  EXPECT_EQ(cli_.Run({"model", "aliases"}), kExitOk);
  EXPECT_THAT(cli_.err(), HasSubstr("no aliases yet"));
  // Back from 4: what came before is where the next rollback leads, not where the last came from.
  AddMove(1, 4, 2, "rollback");
  fake_.alias_before = 1;
  ASSERT_EQ(cli_.Run({"model", "aliases", "docs"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("docs@champion        2       1"));
  ASSERT_EQ(cli_.Run({"model", "aliases", "-o", "name"}), kExitOk);
  EXPECT_EQ(cli_.out(), "docs@champion\n");
}

TEST_F(AliasesTest, PruneSaysWhatGoesAndWhyTheRestStays) {
  EXPECT_EQ(cli_.Run({"model", "prune", "docs"}), kExitUsage) << "how many stay must be said";
  ASSERT_EQ(cli_.Run({"model", "prune", "docs", "--keep", "2", "--dry-run"}), kExitOk)
      << cli_.err();
  EXPECT_THAT(cli_.out(), HasSubstr("docs@2  2 MiB  would go"));
  EXPECT_THAT(cli_.out(), HasSubstr("docs@3  1 MiB  kept      the newest"));
  EXPECT_THAT(cli_.err(), HasSubstr("would free 2 MiB"));
  EXPECT_TRUE(fake_.pruned().dry_run());
  EXPECT_EQ(fake_.pruned().keep(), 2u);
  EXPECT_FALSE(fake_.pruned().has_rollback_steps());
  ASSERT_EQ(
      cli_.Run({"model", "prune", "docs", "--keep", "2", "--rollback-steps", "0", "-o", "name"}),
      kExitOk);
  EXPECT_EQ(cli_.out(), "docs@2\n");
  EXPECT_TRUE(fake_.pruned().has_rollback_steps());
  EXPECT_FALSE(fake_.pruned().dry_run());
}

TEST_F(AliasesTest, CardIsMarkdown) {
  ASSERT_EQ(cli_.Run({"model", "card", "docs@3"}), kExitOk) << cli_.err();
  EXPECT_EQ(cli_.out(), "# docs@3\n");
}

TEST_F(AliasesTest, LineageGoesBackToWhatWasImported) {
  v1::ModelVersion& tuned = fake_.models["docs@champion"];
  tuned.set_name("docs");
  tuned.set_version(2);
  tuned.add_aliases("champion");
  tuned.set_base("tiny@1");
  tuned.mutable_lineage()->set_job_id("job-2");
  tuned.mutable_lineage()->set_update("update-9");
  tuned.mutable_lineage()->set_base("docs@1");
  tuned.mutable_lineage()->add_datasets("rows@4");
  tuned.mutable_lineage()->add_dataset_checksums("fed321");
  v1::ModelVersion& first = fake_.models["docs@1"];
  first.set_name("docs");
  first.set_version(1);
  first.set_files_removed(true);
  first.set_base("tiny@1");
  first.mutable_lineage()->set_job_id("job-1");
  first.mutable_lineage()->set_base("tiny@1");
  v1::ModelVersion& base = fake_.models["tiny@1"];
  base.set_name("tiny");
  base.set_version(1);
  base.mutable_lineage()->set_source("/models/tiny");
  ASSERT_EQ(cli_.Run({"model", "lineage", "docs@champion"}), kExitOk) << cli_.err();
  for (const char* part :
       {"docs@2 @champion\n", "update      update-9", "rows@4  sha256 fed321",
        "└ from docs@1 (files removed)", "└ from tiny@1", "imported    /models/tiny"}) {
    EXPECT_THAT(cli_.out(), HasSubstr(part));
  }
  EXPECT_THAT(cli_.out(), Not(HasSubstr("imported    \n")));
  ASSERT_EQ(cli_.Run({"model", "lineage", "docs@champion", "-o", "name"}), kExitOk);
  EXPECT_EQ(cli_.out(), "docs@2\ndocs@1\ntiny@1\n");
  ASSERT_EQ(cli_.Run({"model", "lineage", "docs@champion", "-o", "json"}), kExitOk);
  EXPECT_EQ(json::parse(cli_.out())[0]["data_sets"][0]["reference"], "rows@4");
  EXPECT_EQ(cli_.Run({"model", "lineage", "absent"}), kExitNotFound);
}

TEST_F(AliasesTest, ShowNamesAliases) {
  v1::ModelVersion& model = fake_.models["docs"];
  model.set_name("docs");
  model.set_version(2);
  model.add_aliases("champion");
  model.set_files_removed(true);
  ASSERT_EQ(cli_.Run({"model", "show", "docs"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), HasSubstr("champion"));
  EXPECT_THAT(cli_.out(), HasSubstr("removed (`attune model prune`)"));
}

}  // namespace
}  // namespace attune::cli
