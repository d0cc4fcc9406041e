#include "coordinator/datasets/catalog.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "coordinator/datasets/importer.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(CatalogTest, ImportWritesShardsManifestAndReport) {
  std::string rows = TextRows(0, 200) + TextRows(0, 3) + "{\n" + "{\"text\":\"\"}\n\n";
  Result<v1::DatasetVersion> version = ImportText(catalog_, Header("docs"), rows);
  ASSERT_TRUE(version.ok()) << version.status().ToString();
  EXPECT_EQ(version->version(), 1u);
  EXPECT_EQ(version->shape(), "text");
  EXPECT_EQ(version->duplicates(), 3u);
  EXPECT_EQ(version->rejected(), 2u);
  EXPECT_EQ(version->rejected_rows(0).line(), 204u);
  EXPECT_EQ(version->rejected_rows(0).file(), "rows.jsonl");
  EXPECT_EQ(version->examples().at("train") + version->examples().at("validation"), 200u);
  EXPECT_EQ(version->characters_max(), 7u);
  EXPECT_EQ(version->path(), (storage_.path() / "datasets/docs/1").string());

  auto manifest = nlohmann::json::parse(*ReadFile(fs::path(version->path()) / "manifest.json"));
  EXPECT_EQ(manifest["version"], 1);
  uint64_t bytes = 0;
  std::string sums;
  for (const auto& shard : manifest["shards"]) {
    fs::path file = fs::path(version->path()) / shard["file"].get<std::string>();
    EXPECT_EQ(*Sha256OfFile(file), shard["sha256"].get<std::string>());
    EXPECT_EQ(fs::file_size(file), shard["bytes"].get<uint64_t>());
    bytes += shard["bytes"].get<uint64_t>();
    sums += shard["sha256"].get<std::string>();
  }
  EXPECT_EQ(version->bytes(), bytes);
  EXPECT_EQ(version->checksum(), Sha256Hex(sums));
  EXPECT_EQ(version->checksum(), manifest["checksum"].get<std::string>());
  EXPECT_THAT(
      Files("datasets"),
      ::testing::UnorderedElementsAre(
          "docs", "docs/1", "docs/1/manifest.json", "docs/1/train-HASH.jsonl",
          "docs/1/train-HASH.ids", "docs/1/train-HASH.minhash", "docs/1/validation-HASH.jsonl",
          "docs/1/validation-HASH.ids", "docs/1/validation-HASH.minhash"));
}

TEST_F(CatalogTest, NothingUsableLeavesNothing) {
  Result<v1::DatasetVersion> version = ImportText(catalog_, Header("docs"), "{\n{\"x\":1}\n");
  EXPECT_EQ(version.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(version.status().message(),
              HasSubstr("none of the 2 rows can be used: rows.jsonl:1: "));
  EXPECT_THAT(ImportText(catalog_, Header("docs"), "\n").status().message(), HasSubstr("no rows"));
  EXPECT_THAT(storage_.Tree("datasets"), IsEmpty());
  EXPECT_EQ(catalog_.Get("docs").status().code(), StatusCode::kNotFound);
}

TEST_F(CatalogTest, AbandonedImportLeavesNothing) {
  {
    Result<std::unique_ptr<Import>> import = catalog_.StartImport(Header("docs"));
    ASSERT_TRUE(import.ok());
    ASSERT_TRUE((*import)->Append("a", TextRows(0, 100)).ok());
  }
  EXPECT_THAT(storage_.Tree("datasets"), IsEmpty());
}

TEST_F(CatalogTest, RefusesBadNamesAndFractions) {
  for (const char* name : {"", "../x", "A", "a@1", "a/b", ".hidden"}) {
    Result<std::unique_ptr<Import>> import = catalog_.StartImport(Header(name));
    ASSERT_FALSE(import.ok()) << name;
    EXPECT_EQ(import.status().field(), "name");
  }
  auto header = Header("a");
  header.set_validation_fraction(1.5);
  EXPECT_EQ(catalog_.StartImport(header).status().field(), "validation_fraction");
}

TEST_F(CatalogTest, SameRequestTwiceIsOneVersion) {
  Result<v1::DatasetVersion> first = ImportText(catalog_, Header("docs", "r1"), TextRows(0, 10));
  ASSERT_TRUE(first.ok());
  Result<std::unique_ptr<Import>> again = catalog_.StartImport(Header("docs", "r1"));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE((*again)->already_done());
  EXPECT_EQ((*again)->Finish()->version(), 1u);
  EXPECT_EQ(catalog_.StartImport(Header("other", "r1")).status().code(),
            StatusCode::kAlreadyExists);
  EXPECT_EQ(ImportText(catalog_, Header("docs", "r2"), TextRows(0, 10))->version(), 2u);
}

TEST_F(CatalogTest, SameRequestAtTheSameTimeIsOneVersion) {
  Result<std::unique_ptr<Import>> a = catalog_.StartImport(Header("docs", "r1"));
  Result<std::unique_ptr<Import>> b = catalog_.StartImport(Header("docs", "r1"));
  ASSERT_TRUE(a.ok() && b.ok());
  ASSERT_TRUE((*a)->Append("f", TextRows(0, 10)).ok());
  ASSERT_TRUE((*b)->Append("f", TextRows(0, 10)).ok());
  EXPECT_EQ((*a)->Finish()->version(), 1u);
  EXPECT_EQ((*b)->Finish()->version(), 1u);
  b->reset();
  a->reset();
  EXPECT_EQ(fs::exists(storage_.path() / "datasets/docs/2"), false);
}

TEST_F(CatalogTest, GetAndListByPages) {
  for (const char* name : {"b", "a", "b"})
    ASSERT_TRUE(ImportText(catalog_, Header(name), TextRows(0, 5)).ok());
  EXPECT_EQ(catalog_.Get("b")->version(), 2u);
  EXPECT_EQ(catalog_.Get("b@1")->version(), 1u);
  EXPECT_THAT(catalog_.Get("b@3").status().message(), HasSubstr("no version 3: the newest is 2"));
  EXPECT_THAT(catalog_.Get("c").status().message(), HasSubstr("there are a, b"));
  EXPECT_EQ(catalog_.Get("b@x").status().code(), StatusCode::kInvalidArgument);

  v1::ListDatasetsRequest request;
  EXPECT_EQ(catalog_.List(request)->datasets_size(), 2);
  request.set_all_versions(true);
  request.set_page_size(2);
  Result<v1::ListDatasetsResponse> page = catalog_.List(request);
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  EXPECT_EQ(page->datasets_size(), 2);
  EXPECT_EQ(page->datasets(1).version(), 2u);
  request.set_page_token(page->next_page_token());
  page = catalog_.List(request);
  ASSERT_EQ(page->datasets_size(), 1);
  EXPECT_EQ(page->datasets(0).name(), "b");
  EXPECT_EQ(page->datasets(0).version(), 1u);
  EXPECT_EQ(page->next_page_token(), "");
  request.set_page_token("../x");
  EXPECT_EQ(catalog_.List(request).status().field(), "page_token");
}

// Every state that a crash can leave.
TEST_F(CatalogTest, ReconcileRemovesLeftoversOnly) {
  ASSERT_TRUE(ImportText(catalog_, Header("docs"), TextRows(0, 10)).ok());
  storage_.Write("datasets/docs/1/.uncommitted", "");            // crash right after the commit
  storage_.Write("datasets/docs/2/.uncommitted", "");            // between rename and commit
  storage_.Write("datasets/docs/.import-abc/train.jsonl", "x");  // while rows arrived
  storage_.Write("datasets/gone/.import-def/x", "");
  storage_.Write("datasets/docs/9/manifest.json", "{}");  // put there by hand
  storage_.Reopen();
  Catalog catalog(storage_.database(), storage_.path());
  ASSERT_TRUE(catalog.Reconcile().ok());
  EXPECT_THAT(Files("datasets"),
              ::testing::UnorderedElementsAre(
                  "docs", "docs/1", "docs/1/manifest.json", "docs/1/train-HASH.jsonl",
                  "docs/1/train-HASH.ids", "docs/1/train-HASH.minhash",
                  "docs/1/validation-HASH.jsonl", "docs/1/validation-HASH.ids",
                  "docs/1/validation-HASH.minhash", "docs/9", "docs/9/manifest.json"));
  EXPECT_EQ(catalog.Get("docs")->version(), 1u);
  for (uint32_t next : {2u, 3u, 4u, 5u, 6u, 7u, 8u, 10u}) {
    EXPECT_EQ(ImportText(catalog, Header("docs"), TextRows(0, 10))->version(), next);
  }
}

class ImporterTest : public ::testing::Test {
 protected:
  TemporaryStorage storage_;
};

TEST_F(ImporterTest, FillsShardsOfAboutEqualSize) {
  Importer importer(storage_.path(), {.validation_fraction = 0, .shard_bytes = 1000});
  std::string rows = TextRows(0, 100);
  for (size_t at = 0; at < rows.size(); at += 7) {
    ASSERT_TRUE(importer.Append("f", std::string_view(rows).substr(at, 7)).ok());
  }
  Result<Imported> imported = importer.Finish();
  ASSERT_TRUE(imported.ok());
  EXPECT_GT(imported->shards.size(), 5u);
  uint64_t examples = 0;
  for (const Shard& shard : imported->shards) {
    EXPECT_LT(shard.bytes, 1100u);
    EXPECT_EQ(shard.split, "train");
    examples += shard.examples;
  }
  EXPECT_EQ(examples, 100u);
}

TEST_F(ImporterTest, SmallDataStillHasAValidationExample) {
  for (int rows : {1, 2, 3, 20}) {
    fs::path folder = storage_.path() / std::to_string(rows);
    fs::create_directories(folder);
    Importer importer(folder, {.validation_fraction = 1e-9});
    ASSERT_TRUE(importer.Append("f", TextRows(0, rows)).ok());
    Result<Imported> imported = importer.Finish();
    ASSERT_TRUE(imported.ok());
    EXPECT_EQ(imported->report.examples().at("validation"), rows == 1 ? 0u : 1u);
    EXPECT_EQ(imported->report.examples().at("train"), rows == 1 ? 1u : uint64_t(rows - 1));
  }
}

TEST_F(ImporterTest, TheMostExamplesAreThoseOfTheVersionAlone) {
  Catalog catalog(storage_.database(), storage_.path());
  const v1::DatasetVersion old = *ImportText(catalog, Header("docs"), TextRows(0, 100));
  int imports = 0;
  const auto import = [&](BaseVersion::Use use, const std::string& rows) {
    const fs::path folder = storage_.path() / ("import-" + std::to_string(imports++));
    fs::create_directories(folder);
    Importer importer(folder, {.examples_max = 100});
    EXPECT_TRUE(importer.Begin(old, use).ok());
    const Status status = importer.Append("f", rows);
    return status.ok() ? importer.Finish() : Result<Imported>(status);
  };
  const Result<Imported> replaced = import(BaseVersion::Use::kReplace, TextRows(50, 150));
  ASSERT_TRUE(replaced.ok()) << replaced.status().ToString();
  EXPECT_EQ(replaced->report.examples().at("train") + replaced->report.examples().at("validation"),
            100u);
  // One more, whether the version before has it or not.
  for (const std::string& rows : {TextRows(100, 200) + TextRows(0, 1), TextRows(50, 151)}) {
    const Status status = import(BaseVersion::Use::kReplace, rows).status();
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(status.message(), "more than 100 examples in one dataset: split it into several");
  }
  EXPECT_TRUE(import(BaseVersion::Use::kAppend, TextRows(0, 100)).ok());
  EXPECT_FALSE(import(BaseVersion::Use::kAppend, TextRows(100, 101)).ok());
}

TEST_F(ImporterTest, CountsFilesKindsAndIgnoredKeys) {
  Importer importer(storage_.path(), {});
  ASSERT_TRUE(importer.Append("a", R"({"text":"x","meta":1})").ok());
  ASSERT_TRUE(importer.Append("b", "{\"prompt\":\"p\",\"completion\":\"c\",\"meta\":1}\n{").ok());
  Result<Imported> imported = importer.Finish();
  ASSERT_TRUE(imported.ok());
  EXPECT_EQ(imported->report.shape(), "mixed");
  EXPECT_EQ(imported->report.sources_size(), 2);
  EXPECT_EQ(imported->report.ignored_keys().at("meta"), 2u);
  ASSERT_EQ(imported->report.rejected_rows_size(), 1);
  EXPECT_EQ(imported->report.rejected_rows(0).file(), "b");
  EXPECT_EQ(imported->report.rejected_rows(0).line(), 2u);
}

TEST_F(ImporterTest, ReportsTheFirstTwentyRejectedRowsAndCountsAll) {
  Importer importer(storage_.path(), {});
  std::string rows = TextRows(0, 1);
  for (int i = 0; i < 50; ++i) rows += "nonsense\n";
  rows += "{\"text\":\"" + std::string(kLineBytesMax, 'a') + "\"}\n";
  ASSERT_TRUE(importer.Append("f", rows).ok());
  Result<Imported> imported = importer.Finish();
  ASSERT_TRUE(imported.ok());
  EXPECT_EQ(imported->report.rejected(), 51u);
  EXPECT_EQ(imported->report.rejected_rows_size(), kRejectedRowsReported);
}

}  // namespace
}  // namespace attune::datasets
