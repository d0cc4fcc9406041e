#include "common/base/hash.h"
#include "coordinator/datasets/catalog_commit.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

TEST_F(CatalogTest, AnAppendHoldsTheNewestVersionAndTheNewRows) {
  MustImport(Header("docs"), "{\"text\":\"row 0\",\"source\":\"first\"}\n" + TextRows(1, 100));
  const v1::DatasetVersion second =
      MustImport(AppendHeader("docs"),
                 "{\"text\":\"row 0\",\"source\":\"again\"}\n" + TextRows(90, 120) + "{\n");
  EXPECT_EQ(second.version(), 2u);
  EXPECT_EQ(second.appended_to(), "docs@1");
  EXPECT_EQ(second.duplicates(), 11u);
  EXPECT_EQ(second.rejected(), 1u);
  EXPECT_EQ(second.examples().at("train") + second.examples().at("validation"), 120u);
  EXPECT_EQ(second.metadata_keys().at("source"), 1u);
  EXPECT_THAT(Lines("docs@2"), IsSupersetOf(Lines("docs@1"))) << "byte for byte, with metadata";
  EXPECT_EQ(Sides("docs@1").size(), 100u) << "the older version is as it was";
}

// The sides hold whatever comes later: with a validation example that was moved there for want of
// another, and with fractions beside which new rows would fall otherwise.
TEST_F(CatalogTest, AppendingTwiceKeepsEveryExampleOnItsSide) {
  for (double fraction : {0.0, 0.05, 0.5, 1.0}) {
    for (int rows : {1, 2, 37}) {
      const std::string name =
          "d" + std::to_string(static_cast<int>(fraction * 100)) + "-" + std::to_string(rows);
      SCOPED_TRACE(name);
      auto header = Header(name);
      header.set_validation_fraction(fraction);
      MustImport(header, TextRows(0, rows));
      const v1::DatasetVersion second = MustImport(AppendHeader(name), TextRows(0, rows + 20));
      EXPECT_DOUBLE_EQ(second.validation_fraction(), fraction);
      MustImport(AppendHeader(name), TextRows(rows, rows + 60));
      EXPECT_EQ(Sides(name + "@3").size(), static_cast<size_t>(rows + 60));
      EXPECT_THAT(Sides(name + "@3"), IsSupersetOf(Sides(name + "@2")));
      EXPECT_THAT(Sides(name + "@2"), IsSupersetOf(Sides(name + "@1")));
    }
  }
}

TEST_F(CatalogTest, AppendingTheSameRowsAgainChangesNothing) {
  const v1::DatasetVersion first = MustImport(Header("docs"), TextRows(0, 50));
  const v1::DatasetVersion second = MustImport(AppendHeader("docs"), TextRows(0, 50));
  EXPECT_EQ(second.checksum(), first.checksum());
  EXPECT_EQ(second.duplicates(), 50u);
  EXPECT_EQ(second.characters_median(), first.characters_median());
  EXPECT_EQ(second.shape(), first.shape());
}

TEST_F(CatalogTest, AnAppendToNothingIsAnImport) {
  const v1::DatasetVersion version = MustImport(AppendHeader("docs"), TextRows(0, 10));
  EXPECT_EQ(version.version(), 1u);
  EXPECT_EQ(version.appended_to(), "");
  EXPECT_DOUBLE_EQ(version.validation_fraction(), 0.05);
}

TEST_F(CatalogTest, AnAppendKeepsTheFraction) {
  auto header = Header("docs");
  header.set_validation_fraction(0.2);
  MustImport(header, TextRows(0, 50));
  auto append = AppendHeader("docs");
  append.set_validation_fraction(0.3);
  Status other = catalog_.StartImport(append).status();
  EXPECT_EQ(other.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(other.field(), "validation_fraction");
  EXPECT_THAT(other.message(), HasSubstr("docs@1 was made with the share 0.2"));
  append.set_validation_fraction(0.2);
  EXPECT_EQ(MustImport(append, TextRows(50, 60)).version(), 2u);
}

// Records from before the fraction was kept.
TEST(ValidationFractionOf, IsTheDefaultWhereItIsUnknown) {
  v1::DatasetVersion version;
  (*version.mutable_examples())["validation"] = 5;
  EXPECT_DOUBLE_EQ(ValidationFractionOf(version), 0.05);
  version.set_validation_fraction(0.3);
  EXPECT_DOUBLE_EQ(ValidationFractionOf(version), 0.3);
  version.set_validation_fraction(0);
  (*version.mutable_examples())["validation"] = 0;
  EXPECT_DOUBLE_EQ(ValidationFractionOf(version), 0);
}

TEST_F(CatalogTest, AnAppendWithoutUsableRowsLeavesNothing) {
  MustImport(Header("docs"), TextRows(0, 10));
  const std::set<std::string> before = storage_.Tree("datasets");
  EXPECT_EQ(ImportText(catalog_, AppendHeader("docs"), "{\n").status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(storage_.Tree("datasets"), before);
}

// Of two appends at the same time, the later one would leave out the earlier one's rows.
TEST_F(CatalogTest, AnAppendThatWasOvertakenIsToBeMadeAgain) {
  MustImport(Header("docs"), TextRows(0, 10));
  Result<std::unique_ptr<Import>> slow = catalog_.StartImport(AppendHeader("docs", "slow"));
  ASSERT_TRUE(slow.ok());
  ASSERT_TRUE((*slow)->Append("f", TextRows(10, 20)).ok());
  MustImport(AppendHeader("docs", "fast"), TextRows(20, 30));
  Status overtaken = (*slow)->Finish().status();
  EXPECT_EQ(overtaken.code(), StatusCode::kUnavailable) << overtaken.ToString();
  EXPECT_THAT(overtaken.message(), HasSubstr("docs@2 was made: append them again"));
  slow->reset();
  const v1::DatasetVersion again = MustImport(AppendHeader("docs", "slow"), TextRows(10, 20));
  EXPECT_EQ(again.version(), 3u);
  EXPECT_EQ(Sides("docs@3").size(), 30u);
  EXPECT_FALSE(fs::exists(storage_.path() / "datasets/docs/4"));
}

TEST_F(CatalogTest, TheRequestIdCoversHowRowsAreTaken) {
  MustImport(Header("docs"), TextRows(0, 10));
  EXPECT_EQ(MustImport(AppendHeader("docs", "r1"), TextRows(10, 20)).version(), 2u);
  Result<std::unique_ptr<Import>> again = catalog_.StartImport(AppendHeader("docs", "r1"));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE((*again)->already_done());
  EXPECT_EQ((*again)->Finish()->appended_to(), "docs@1");
  EXPECT_EQ(catalog_.StartImport(Header("docs", "r1")).status().code(), StatusCode::kAlreadyExists);
  auto other = AppendHeader("docs", "r1");
  other.set_allow_unlabelled(true);
  EXPECT_EQ(catalog_.StartImport(other).status().code(), StatusCode::kAlreadyExists);
}

TEST_F(CatalogTest, ADamagedVersionCannotBeAppendedTo) {
  MustImport(Header("docs"), TextRows(0, 50));
  const std::set<std::string> before = storage_.Tree("datasets");
  const std::string shard = ShardOf("docs@1", "train");
  std::ofstream(storage_.path() / shard, std::ios::app) << "x";
  Status status = catalog_.StartImport(AppendHeader("docs")).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("docs@1"));
  EXPECT_THAT(status.message(), HasSubstr(shard));
  EXPECT_EQ(storage_.Tree("datasets"), before);
}

// As kill -9 leaves it: nothing was removed by a destructor.
TEST_F(CatalogTest, AKilledAppendLeavesOnlyWhatReconcileRemoves) {
  MustImport(Header("docs"), TextRows(0, 50));
  const std::set<std::string> before = storage_.Tree("datasets");
  Result<std::unique_ptr<Import>> killed = catalog_.StartImport(AppendHeader("docs"));
  ASSERT_TRUE(killed.ok());
  ASSERT_TRUE((*killed)->Append("f", TextRows(50, 90)).ok());
  const fs::path datasets = storage_.path() / "datasets", copy = storage_.path() / "killed";
  fs::copy(datasets, copy, fs::copy_options::recursive);
  killed->reset();
  fs::remove_all(datasets);
  fs::rename(copy, datasets);
  EXPECT_NE(storage_.Tree("datasets"), before);
  storage_.Reopen();
  Catalog catalog(storage_.database(), storage_.path());
  ASSERT_TRUE(catalog.Reconcile().ok());
  EXPECT_EQ(storage_.Tree("datasets"), before);
  EXPECT_EQ(ImportText(catalog, AppendHeader("docs"), TextRows(50, 90))->version(), 2u);
}

}  // namespace
}  // namespace attune::datasets
