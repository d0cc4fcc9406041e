// What versions of a name share, and that each is whole by itself.

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;
using ::testing::Each;
using ::testing::Ge;
using ::testing::IsSupersetOf;

constexpr uint64_t kTestShardBytes = 4 << 10;

class VersionsTest : public CatalogTest {
 protected:
  // Its files by name of the shard, each with its number of links.
  std::map<std::string, uint64_t> Links(const std::string& reference) {
    std::map<std::string, uint64_t> links;
    for (const auto& entry : fs::directory_iterator(FolderOf(reference))) {
      if (entry.path().extension() != ".jsonl") continue;
      links[entry.path().filename().string()] = entry.hard_link_count();
    }
    return links;
  }
  fs::path FolderOf(const std::string& reference) { return small_.Get(reference)->path(); }
  v1::DatasetVersion Import(const v1::ImportDatasetRequest::Header& header,
                            const std::string& rows) {
    Result<v1::DatasetVersion> version = ImportText(small_, header, rows);
    EXPECT_TRUE(version.ok()) << version.status().ToString();
    return version.ok() ? *version : v1::DatasetVersion();
  }

  Catalog small_{storage_.database(), storage_.path(), {}, kTestShardBytes};
};

TEST_F(VersionsTest, AnAppendOfOnePercentStoresOnePercent) {
  const v1::DatasetVersion first = Import(Header("docs"), TextRows(0, 10000));
  const v1::DatasetVersion second = Import(AppendHeader("docs"), TextRows(10000, 10100));
  EXPECT_EQ(first.stored_bytes(), first.bytes());
  EXPECT_NEAR(static_cast<double>(second.stored_bytes()), 0.01 * second.bytes(),
              0.001 * second.bytes());
  EXPECT_THAT(Lines("docs@2"), IsSupersetOf(Lines("docs@1")));
  for (const auto& [file, links] : Links("docs@1")) EXPECT_EQ(links, 2u) << file;
  const v1::DatasetVersion shown = *small_.Show("docs@2");
  EXPECT_EQ(shown.own_bytes() + small_.Show("docs@1")->own_bytes() + shown.shared_bytes(),
            storage_.Bytes("datasets"));
  EXPECT_GT(shown.own_bytes(), second.stored_bytes()) << "the manifest and what lies beside shards";
  EXPECT_GT(shown.shared_bytes(), first.bytes());
}

TEST_F(VersionsTest, AnImportOfAGrownFileStoresWhatIsNew) {
  const v1::DatasetVersion first = Import(Header("docs"), TextRows(0, 10000));
  const v1::DatasetVersion second = Import(Header("docs"), TextRows(0, 10100));
  EXPECT_LT(second.stored_bytes(), 0.015 * second.bytes());
  EXPECT_EQ(second.appended_to(), "");
  EXPECT_EQ(second.examples().at("train") + second.examples().at("validation"), 10100u);
  const v1::DatasetVersion third = Import(Header("docs"), TextRows(0, 10100));
  EXPECT_EQ(third.checksum(), second.checksum()) << "equal content gives equal shards";
  EXPECT_EQ(third.stored_bytes(), 0u);
  EXPECT_EQ(third.characters_median(), second.characters_median());
  EXPECT_EQ(third.shape(), "text");
}

TEST_F(VersionsTest, EqualRowsUnderAnotherNameMakeEqualShards) {
  EXPECT_EQ(Import(Header("a"), TextRows(0, 1000)).checksum(),
            Import(Header("b"), TextRows(0, 1000)).checksum());
}

// A shard one of whose rows is gone is written anew, without it.
TEST_F(VersionsTest, AnImportWithoutSomeRowsHasNoneOfThem) {
  Import(Header("docs"), TextRows(0, 3000));
  const v1::DatasetVersion second = Import(Header("docs"), TextRows(0, 100) + TextRows(101, 3000));
  EXPECT_EQ(Lines("docs@2").size(), 2999u);
  EXPECT_EQ(Lines("docs@1").size(), 3000u);
  EXPECT_LT(second.stored_bytes(), 2 * kTestShardBytes);
  EXPECT_THAT(Sides("docs@1"), IsSupersetOf(Sides("docs@2")));
}

TEST_F(VersionsTest, AnImportHasTheMetadataOfItsOwnRows) {
  Import(Header("docs"), "{\"text\":\"row 0\",\"source\":\"old\"}\n" + TextRows(1, 1000));
  const v1::DatasetVersion second =
      Import(Header("docs"), "{\"text\":\"row 0\",\"source\":\"new\"}\n" + TextRows(1, 1000));
  EXPECT_EQ(second.metadata_keys().at("source"), 1u);
  EXPECT_EQ(second.duplicates(), 0u);
  EXPECT_THAT(Lines("docs@2"), ::testing::Contains(::testing::HasSubstr("{\"source\":\"new\"}")));
  EXPECT_EQ(Sides("docs@2"), Sides("docs@1"));
  const v1::DatasetVersion third =
      Import(Header("docs"), TextRows(0, 1) + "{\"text\":\"row 0\",\"source\":\"late\"}\n");
  EXPECT_EQ(third.duplicates(), 1u);
  EXPECT_EQ(third.metadata_keys().count("source"), 0u) << "of equal rows the first one's stays";
}

TEST_F(VersionsTest, AnImportWithAnotherShareMovesNothing) {
  auto header = Header("docs");
  header.set_validation_fraction(0.5);
  Import(header, TextRows(0, 500));
  header.set_validation_fraction(0);
  Import(header, TextRows(0, 1000));
  EXPECT_THAT(Sides("docs@2"), IsSupersetOf(Sides("docs@1")));
  EXPECT_EQ(Ids("docs@2", "validation").size(), Ids("docs@1", "validation").size());
}

// As versions were written before: numbered shards without an index.
TEST_F(VersionsTest, AVersionWithoutIndexesCanBeAppendedTo) {
  const v1::DatasetVersion first =
      Import(Header("docs"), "{\"text\":\"x\",\"source\":\"s\"}\n" + TextRows(0, 3000));
  const fs::path folder = first.path();
  auto manifest = nlohmann::json::parse(*ReadFile(folder / "manifest.json"));
  int number = 0;
  for (auto& shard : manifest["shards"]) {
    const std::string file =
        shard["split"].get<std::string>() + "-0000" + std::to_string(number++) + ".jsonl";
    fs::rename(folder / shard["file"].get<std::string>(), folder / file);
    shard["file"] = file;
  }
  ASSERT_TRUE(WriteFileAtomically(folder / "manifest.json", manifest.dump()).ok());
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".ids") fs::remove(entry.path());
  }
  const std::map<std::string, std::string> sides = Sides("docs@1");
  const v1::DatasetVersion second = Import(AppendHeader("docs"), TextRows(2990, 3010));
  EXPECT_EQ(second.duplicates(), 10u);
  EXPECT_EQ(second.characters_median(), first.characters_median());
  EXPECT_EQ(second.metadata_keys().at("source"), 1u);
  EXPECT_LT(second.stored_bytes(), 2 * kTestShardBytes);
  EXPECT_THAT(Sides("docs@2"), IsSupersetOf(sides));
  EXPECT_EQ(Import(AppendHeader("docs"), TextRows(0, 3010)).checksum(), second.checksum());
}

TEST_F(VersionsTest, ADamagedIndexIsMadeAgainFromItsShard) {
  Import(Header("docs"), TextRows(0, 2000));
  for (const std::string& name : storage_.Tree("datasets/docs/1")) {
    if (name.ends_with(".ids")) Damage("datasets/docs/1/" + name);
  }
  EXPECT_EQ(Import(AppendHeader("docs"), TextRows(0, 2010)).duplicates(), 2000u);
  EXPECT_EQ(Sides("docs@2").size(), 2010u);
}

// "Import the data set again", as a damaged version says, must not share the damage.
TEST_F(VersionsTest, ImportingAgainMendsADamagedShard) {
  Import(Header("docs"), TextRows(0, 2000));
  const std::map<std::string, uint64_t> before = Links("docs@1");
  const std::map<std::string, std::string> sides = Sides("docs@1");
  Damage("datasets/docs/1/" + before.begin()->first);
  Import(Header("docs"), TextRows(0, 2000));
  EXPECT_EQ(Lines("docs@2").size(), 2000u);
  EXPECT_EQ(Sides("docs@2"), sides);
  EXPECT_EQ(Links("docs@1").begin()->second, 1u);
  for (const auto& entry : fs::directory_iterator(FolderOf("docs@1"))) fs::remove(entry.path());
  Import(Header("docs"), TextRows(0, 2000));
  fs::remove(FolderOf("docs@3") / Links("docs@3").begin()->first);
  Import(Header("docs"), TextRows(0, 2000));
  EXPECT_EQ(Lines("docs@4").size(), 2000u);
}

TEST_F(VersionsTest, ManySmallAppendsMakeFewShards) {
  Import(Header("docs"), TextRows(0, 2000));
  const size_t at_first = Links("docs").size();
  for (int i = 0; i < 60; ++i) {
    Import(AppendHeader("docs"), TextRows(2000 + i * 3, 2003 + i * 3));
    EXPECT_LE(Links("docs").size(), at_first + 40);
  }
  EXPECT_EQ(Sides("docs").size(), 2180u);
  EXPECT_THAT(Sides("docs"), IsSupersetOf(Sides("docs@30")));
}

TEST_F(VersionsTest, AComposedVersionSharesWholeShards) {
  const v1::DatasetVersion a = Import(Header("a"), TextRows(0, 2000));
  const v1::DatasetVersion b = Import(Header("b"), TextRows(2000, 4000));
  auto header = Header("c");
  header.set_validation_fraction(0);
  Import(header, TextRows(3999, 4001));
  Result<v1::DatasetVersion> all =
      small_.Compose({.request_id = "", .name = "all", .sources = {"a", "b", "c"}, .event = ""});
  ASSERT_TRUE(all.ok()) << all.status().ToString();
  EXPECT_EQ(all->examples().at("train") + all->examples().at("validation"), 4001u);
  EXPECT_GT(all->stored_bytes(), 0u);
  EXPECT_LT(all->stored_bytes(), 200u) << "one row of c";
  EXPECT_EQ(all->bytes(), a.bytes() + b.bytes() + all->stored_bytes());
}

}  // namespace
}  // namespace attune::datasets
