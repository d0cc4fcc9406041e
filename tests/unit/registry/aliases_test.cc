#include "coordinator/models/aliases.h"

#include <gmock/gmock.h>

#include "coordinator/models/gate_reports.h"
#include "coordinator/models/schema.h"
#include "coordinator/store/events.h"
#include "tests/unit/registry/temporary_storage.h"

namespace attune::models {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AliasesTest : public ::testing::Test {
 protected:
  // Versions 1 to 5 of "docs".
  void SetUp() override {
    for (uint32_t version = 1; version <= 5; ++version) SaveVersion(version, false);
  }

  void SaveVersion(uint32_t number, bool files_removed) {
    v1::ModelVersion version;
    version.set_name("docs");
    version.set_version(number);
    version.set_files_removed(files_removed);
    const std::string record = version.SerializeAsString();
    const versions::Table table("model");
    ASSERT_TRUE(storage_.database()
                    ->Write([&](Transaction& transaction) {
                      if (table.All(transaction).contains({"docs", number})) {
                        table.Update(transaction, "docs", number, record);
                      } else {
                        table.Insert(transaction, "docs", number, "", record);
                      }
                      return Status();
                    })
                    .ok());
  }

  Result<v1::Alias> Move(const AliasChange& change) {
    v1::Alias alias;
    ATTUNE_RETURN_IF_ERROR(storage_.database()->Write([&](Transaction& transaction) -> Status {
      ATTUNE_ASSIGN_OR_RETURN(alias, MoveAlias(transaction, change));
      return Status();
    }));
    return alias;
  }
  AliasChange Change(const char* kind, uint32_t to = 0) {
    return {.model = "docs",
            .alias = "champion",
            .to_version = to,
            .actor = "user:alice",
            .reason = "",
            .evidence = "",
            .kind = kind};
  }
  Result<v1::Alias> Set(uint32_t to) { return Move(Change(kSet, to)); }
  Result<v1::Alias> RollBack() { return Move(Change(kRollback)); }
  // Rolls back and says where that led; 0: nowhere.
  uint32_t BackTo() {
    Result<v1::Alias> alias = RollBack();
    return alias.ok() ? alias->version() : 0;
  }

  template <typename Function>
  auto Read(const Function& function) {
    decltype(function(std::declval<Transaction&>())) value{};
    EXPECT_TRUE(storage_.database()
                    ->Read([&](Transaction& transaction) {
                      value = function(transaction);
                      return Status();
                    })
                    .ok());
    return value;
  }
  std::vector<uint32_t> Back() {
    return Read([](Transaction& t) { return WayBack(t, "docs", "champion"); });
  }
  std::vector<v1::AliasMove> Moves(uint32_t limit = 100, uint64_t before = 0) {
    return Read([&](Transaction& t) { return ListMoves(t, "docs", "champion", limit, before); });
  }

  TemporaryStorage storage_{Migrations()};
};

TEST(AliasNames, AreNeverNumbers) {
  for (const char* good : {"champion", "a", "shadow-2", "x_1"}) EXPECT_TRUE(IsValidAlias(good));
  for (const char* bad : {"", "1", "2b", "-a", "Champion", "a.b", "a@b", "a b"})
    EXPECT_FALSE(IsValidAlias(bad)) << bad;
  EXPECT_TRUE(IsValidAlias(std::string(63, 'a')));
  EXPECT_FALSE(IsValidAlias(std::string(64, 'a')));
}

TEST_F(AliasesTest, RollbacksTakeBackWhatWasSetOneByOne) {
  for (uint32_t version : {1u, 2u, 3u}) ASSERT_TRUE(Set(version).ok());
  EXPECT_THAT(Back(), ElementsAre(2, 1));
  const auto before = [&] {
    return Read([](Transaction& t) { return ListAliases(t, "docs"); }).at(0).before();
  };
  EXPECT_EQ(before(), 2u);
  EXPECT_EQ(BackTo(), 2u);
  EXPECT_EQ(before(), 1u) << "not 3, which was given up";
  EXPECT_EQ(BackTo(), 1u);
  EXPECT_EQ(before(), 0u);
  EXPECT_THAT(Back(), IsEmpty());
  EXPECT_EQ(Set(4)->before(), 1u);
  EXPECT_EQ(BackTo(), 1u) << "2 and 3 were undone: they are not on the way";
  Result<v1::Alias> nothing = RollBack();
  EXPECT_EQ(nothing.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(nothing.status().message(), HasSubstr("docs@champion points at version 1"));
  EXPECT_THAT(nothing.status().message(), HasSubstr("nothing before it"));
  EXPECT_EQ(Moves().size(), 7u) << "every move, forward and back, and no failed one";
}

TEST_F(AliasesTest, AVersionMayBeSetAgain) {
  for (uint32_t version : {1u, 2u, 1u}) ASSERT_TRUE(Set(version).ok());
  EXPECT_THAT(Back(), ElementsAre(2, 1));
  EXPECT_EQ(BackTo(), 2u);
  EXPECT_EQ(BackTo(), 1u);
}

TEST_F(AliasesTest, SettingItToWhereItIsIsNoMove) {
  const Result<v1::Alias> first = Set(1);
  const Result<v1::Alias> again = Set(1);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->SerializeAsString(), first->SerializeAsString());
  EXPECT_EQ(Moves().size(), 1u);
}

TEST_F(AliasesTest, DeletingEndsTheWayBackAndKeepsTheHistory) {
  ASSERT_TRUE(Set(1).ok() && Set(2).ok());
  Result<v1::Alias> deleted = Move(Change(kDelete));
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->version(), 0u);
  EXPECT_EQ(deleted->last().from_version(), 2u);
  EXPECT_EQ(Move(Change(kDelete)).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(RollBack().status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(Set(3).ok());
  EXPECT_EQ(RollBack().status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Moves().size(), 4u);
}

TEST_F(AliasesTest, ARollbackThatExpectsAnotherVersionIsRefused) {
  ASSERT_TRUE(Set(1).ok() && Set(2).ok());
  EXPECT_THAT(Move(Change(kRollback, 3)).status().message(),
              HasSubstr("leads to version 1, not to 3"));
  EXPECT_EQ(Move(Change(kRollback, 1))->version(), 1u);
}

TEST_F(AliasesTest, WhoMovedItMeanwhileIsSaid) {
  AliasChange first = Change(kSet, 1);
  first.expected_version = 0;
  ASSERT_TRUE(Move(first).ok());
  Result<v1::Alias> taken = Move(first);
  EXPECT_EQ(taken.status().code(), StatusCode::kFailedPrecondition) << "it is there by now";
  AliasChange bobs = Change(kSet, 2);
  bobs.actor = "user:bob";
  bobs.reason = "looks better";
  ASSERT_TRUE(Move(bobs).ok());
  AliasChange late = Change(kSet, 3);
  late.expected_version = 1;
  Status refused = Move(late).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("points at version 2 (moved there by user:bob at 20"));
  EXPECT_THAT(refused.message(), HasSubstr("looks better"));
  EXPECT_THAT(refused.message(), HasSubstr("not at version 1"));
  late.expected_version = 2;
  EXPECT_EQ(Move(late)->version(), 3u);
}

TEST_F(AliasesTest, PointsOnlyAtVersionsWithFiles) {
  EXPECT_EQ(Set(9).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Set(0).status().code(), StatusCode::kInvalidArgument);
  SaveVersion(2, true);
  Status removed = Set(2).status();
  EXPECT_EQ(removed.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(removed.message(), HasSubstr("the files of docs@2 were removed"));
  ASSERT_TRUE(Set(1).ok() && Set(3).ok());
  SaveVersion(1, true);
  EXPECT_EQ(RollBack().status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(RollBack().status().message(), HasSubstr("the files of docs@1 were removed"));
  EXPECT_EQ(Moves().size(), 2u);
}

TEST_F(AliasesTest, RefusesBadNames) {
  const auto field = [&](void (*spoil)(AliasChange*)) {
    AliasChange change = Change(kSet, 1);
    spoil(&change);
    Result<v1::Alias> alias = Move(change);
    EXPECT_EQ(alias.status().code(), StatusCode::kInvalidArgument);
    return alias.status().field();
  };
  EXPECT_EQ(field([](AliasChange* change) { change->alias = "1"; }), "alias");
  EXPECT_EQ(field([](AliasChange* change) { change->model = "../docs"; }), "model");
}

TEST_F(AliasesTest, AReasonIsALine) {
  AliasChange change = Change(kSet, 1);
  change.reason = "two\nlines\x1b[2J\xff " + std::string(5000, 'x');
  change.evidence = "an\tid";
  const v1::AliasMove move = Move(change)->last();
  EXPECT_THAT(move.reason(), ::testing::StartsWith("two lines [2J\xEF\xBF\xBD xxx"));
  EXPECT_LE(move.reason().size(), 4096u);
  EXPECT_EQ(move.evidence(), "an id");
}

TEST_F(AliasesTest, AMoveIsAnEventOfTheSameTransaction) {
  AliasChange change = Change(kSet, 1);
  change.reason = "it is better";
  change.evidence = "update-1";
  ASSERT_TRUE(Move(change).ok());
  const auto failed = storage_.database()->Write([&](Transaction& transaction) -> Status {
    ATTUNE_RETURN_IF_ERROR(MoveAlias(transaction, Change(kSet, 2)).status());
    return Internal("what it belongs to failed");
  });
  EXPECT_EQ(failed.code(), StatusCode::kInternal);
  const std::vector<Event> events =
      Read([](Transaction& t) { return ReadEvents(t, "alias", "docs@champion", 0, 10); });
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, "set");
  EXPECT_EQ(events[0].message, "set from nowhere to 1 by user:alice: it is better");
  v1::AliasMove move;
  ASSERT_TRUE(move.ParseFromString(events[0].snapshot));
  EXPECT_EQ(move.SerializeAsString(), Moves().at(0).SerializeAsString());
  EXPECT_EQ(move.evidence(), "update-1");
  EXPECT_EQ(move.kind(), "set");
}

TEST_F(AliasesTest, TheHistoryIsReadInPages) {
  for (uint32_t version : {1u, 2u, 3u, 4u, 5u}) ASSERT_TRUE(Set(version).ok());
  std::vector<uint32_t> seen;
  uint64_t before = 0;
  for (;;) {
    const std::vector<v1::AliasMove> page = Moves(2, before);
    for (const v1::AliasMove& move : page) seen.push_back(move.to_version());
    if (page.size() < 2) break;
    before = page.back().sequence();
  }
  EXPECT_THAT(seen, ElementsAre(5, 4, 3, 2, 1));
}

TEST_F(AliasesTest, NobodyChangesTheHistory) {
  ASSERT_TRUE(Set(1).ok());
  for (const char* statement :
       {"DELETE FROM alias_moves", "UPDATE alias_moves SET actor = 'user:mallory'"}) {
    const Status status = storage_.database()->Write([&](Transaction& transaction) {
      transaction.session() << statement;
      return Status();
    });
    EXPECT_FALSE(status.ok()) << statement;
    EXPECT_THAT(status.message(), HasSubstr("the history of an alias is never"));
  }
  EXPECT_EQ(Moves().at(0).actor(), "user:alice");
}

TEST_F(AliasesTest, ReferencesResolve) {
  ASSERT_TRUE(Set(2).ok());
  const auto resolve = [&](const std::string& reference) {
    Status status;
    uint32_t version = 0;
    const auto read = storage_.database()->Read([&](Transaction& transaction) -> Status {
      ATTUNE_ASSIGN_OR_RETURN(versions::Reference found, Resolve(transaction, reference));
      version = found.version;
      return Status();
    });
    return std::make_pair(read, version);
  };
  EXPECT_EQ(resolve("docs@champion").second, 2u);
  EXPECT_EQ(resolve("docs@4").second, 4u);
  EXPECT_EQ(resolve("docs").second, 0u);
  const Status absent = resolve("docs@shadow").first;
  EXPECT_EQ(absent.code(), StatusCode::kNotFound);
  EXPECT_THAT(absent.message(), HasSubstr("has no alias \"shadow\": it has champion"));
  EXPECT_THAT(resolve("other@champion").first.message(), HasSubstr("no model named \"other\""));
  const Status capital = resolve("docs@Champion").first;
  EXPECT_EQ(capital.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(capital.message(), HasSubstr("or an alias, as in docs@champion"));
}

TEST_F(AliasesTest, ListsByModelAndAlias) {
  ASSERT_TRUE(Set(1).ok());
  AliasChange shadow = Change(kSet, 1);
  shadow.alias = "shadow";
  ASSERT_TRUE(Move(shadow).ok());
  const auto all = Read([](Transaction& t) { return ListAliases(t, ""); });
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].alias(), "champion");
  EXPECT_EQ(all[0].last().actor(), "user:alice");
  EXPECT_GT(all[0].since().seconds(), 0);
  EXPECT_THAT(Read([](Transaction& t) { return ListAliases(t, "other"); }), IsEmpty());
  EXPECT_THAT(Read([](Transaction& t) { return AliasesAt(t, "docs", 1); }),
              ElementsAre("champion", "shadow"));
}

TEST_F(AliasesTest, AGateReportIsFoundByItsCandidate) {
  v1::GateReport report;
  report.set_candidate("docs@2");
  report.set_summary("first");
  const auto save = [&] {
    ASSERT_TRUE(storage_.database()
                    ->Write([&](Transaction& transaction) {
                      SaveGateReport(transaction, report);
                      return Status();
                    })
                    .ok());
  };
  save();
  report.set_summary("second");
  save();
  Status absent;
  const std::string summary = Read([&](Transaction& transaction) {
    absent = FindGateReport(transaction, "docs@1").status();
    return FindGateReport(transaction, "docs@2")->summary();
  });
  EXPECT_EQ(summary, "second");
  EXPECT_EQ(absent.code(), StatusCode::kNotFound);
  EXPECT_THAT(absent.message(), HasSubstr("docs@1"));
}

}  // namespace
}  // namespace attune::models
