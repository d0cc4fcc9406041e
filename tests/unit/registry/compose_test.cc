#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ComposeTest : public CatalogTest {
 protected:
  ComposeRequest Request(const std::vector<std::string>& sources,
                         const std::string& request_id = "") {
    return {.request_id = request_id, .name = "all", .sources = sources, .event = ""};
  }
};

TEST_F(ComposeTest, EachIdOnceAsTheFirstSourceHasIt) {
  auto header = Header("a");
  header.set_validation_fraction(0.5);
  MustImport(header, "{\"text\":\"row 0\",\"source\":\"a\"}\n" + TextRows(1, 60));
  header.set_name("b");
  header.set_validation_fraction(0);
  MustImport(header, "{\"text\":\"row 0\",\"source\":\"b\"}\n" + TextRows(30, 100));
  header.set_name("c");
  header.set_allow_unlabelled(true);
  MustImport(header, "{\"prompt\":\"why?\"}\n" + TextRows(90, 110));
  Result<v1::DatasetVersion> all = catalog_.Compose(Request({"a@1", "b@1", "c"}));
  ASSERT_TRUE(all.ok()) << all.status().ToString();
  EXPECT_EQ(all->version(), 1u);
  EXPECT_THAT(all->composed_of(), ElementsAre("a@1", "b@1", "c@1"));
  EXPECT_EQ(all->appended_to(), "");
  EXPECT_DOUBLE_EQ(all->validation_fraction(), 0.5);
  EXPECT_EQ(all->duplicates(), 31u + 10u);
  EXPECT_EQ(all->unlabelled(), 1u);
  EXPECT_EQ(all->metadata_keys().at("source"), 1u);
  EXPECT_EQ(all->shape(), "text");

  std::map<std::string, std::string> expected = Sides("a");
  expected.merge(Sides("b"));
  expected.merge(Sides("c"));
  EXPECT_EQ(Sides("all"), expected);
  EXPECT_EQ(expected.size(), 111u);
  EXPECT_THAT(Lines("all"), ::testing::Contains(HasSubstr(R"({"source":"a"})")));
}

// As if it were one import: the same bytes, and so the same tokens in the cache.
TEST_F(ComposeTest, OneSourceIsACopy) {
  const v1::DatasetVersion a = MustImport(Header("a"), TextRows(0, 60));
  Result<v1::DatasetVersion> copy = catalog_.Compose(Request({"a"}));
  ASSERT_TRUE(copy.ok()) << copy.status().ToString();
  EXPECT_EQ(copy->checksum(), a.checksum());
  EXPECT_EQ(copy->bytes(), a.bytes());
  EXPECT_EQ(copy->characters_median(), a.characters_median());
  auto manifest = nlohmann::json::parse(*ReadFile(fs::path(copy->path()) / "manifest.json"));
  EXPECT_EQ(manifest["name"], "all");
}

TEST_F(ComposeTest, TheSameRequestAgainIsTheFirstAnswer) {
  MustImport(Header("a"), TextRows(0, 10));
  EXPECT_EQ(catalog_.Compose(Request({"a"}, "r1"))->version(), 1u);
  MustImport(Header("a"), TextRows(0, 20));
  Result<v1::DatasetVersion> again = catalog_.Compose(Request({"a"}, "r1"));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->version(), 1u);
  EXPECT_THAT(again->composed_of(), ElementsAre("a@1"));
  EXPECT_EQ(catalog_.Compose(Request({"a@1"}, "r1")).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(catalog_.Compose(Request({"a"}, "r2"))->version(), 2u);
}

TEST_F(ComposeTest, RefusesBadRequests) {
  EXPECT_EQ(catalog_.Compose(Request({})).status().field(), "sources");
  EXPECT_EQ(catalog_.Compose(Request({"absent"})).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(catalog_.Compose({"", "../all", {"a"}, ""}).status().field(), "name");
  EXPECT_EQ(catalog_.Compose(Request(std::vector<std::string>(10001, "a"))).status().field(),
            "sources");
  EXPECT_THAT(storage_.Tree("datasets"), IsEmpty());
}

TEST_F(ComposeTest, FindsDamage) {
  MustImport(Header("a"), TextRows(0, 60));
  MustImport(Header("b"), TextRows(0, 60));
  MustImport(Header("c"), TextRows(0, 60));
  const std::string longer = ShardOf("a@1", "validation"), missing = ShardOf("b@1", "train");
  std::ofstream(storage_.path() / longer, std::ios::app) << "x";
  fs::remove(storage_.path() / missing);
  storage_.Write("datasets/c/1/manifest.json", R"({"shards":[]})");
  for (const auto& [name, file] : {std::pair("a", longer), std::pair("b", missing),
                                   std::pair("c", std::string("c/1/manifest.json"))}) {
    for (Status status : {catalog_.Compose(Request({name})).status(),
                          catalog_.ForEachRow(name, [](std::string_view) { return Status(); })}) {
      EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
      EXPECT_THAT(status.message(), HasSubstr(file));
    }
  }
  EXPECT_FALSE(fs::exists(storage_.path() / "datasets/all"));
}

TEST_F(ComposeTest, AKilledOneLeavesOnlyWhatReconcileRemoves) {
  MustImport(Header("a"), TextRows(0, 10));
  const std::set<std::string> before = storage_.Tree("datasets");
  storage_.Write("datasets/all/.import-abc/train-00000.jsonl.tmp", "{\"id\":");  // while it copied
  storage_.Write("datasets/all/.import-abc/.uncommitted", "");
  storage_.Write("datasets/all/1/.uncommitted", "");  // between rename and commit
  storage_.Write("datasets/all/1/manifest.json", "{}");
  storage_.Reopen();
  Catalog catalog(storage_.database(), storage_.path());
  ASSERT_TRUE(catalog.Reconcile().ok());
  EXPECT_EQ(storage_.Tree("datasets"), before);
  EXPECT_TRUE(catalog.Compose(Request({"a"}, "r1")).ok());
}

TEST_F(ComposeTest, ForEachReadsSplitsAndStopsAtTheFirstError) {
  auto header = Header("a");
  header.set_allow_unlabelled(true);
  MustImport(header, TextRows(0, 60) + "{\"prompt\":\"why?\"}\n");
  EXPECT_EQ(Ids("a", "train").size() + Ids("a", "validation").size(), 60u);
  EXPECT_THAT(Ids("a", "other"), IsEmpty());
  EXPECT_EQ(Lines("a").size(), 61u);
  for (const std::string& line : Lines("a")) {
    EXPECT_EQ(nlohmann::json::parse(line)["id"].get<std::string>().size(), 32u);
  }
  int taken = 0;
  Status stopped = catalog_.ForEachRow(
      "a", [&](std::string_view) { return ++taken == 3 ? Cancelled("enough") : Status(); });
  EXPECT_EQ(stopped.code(), StatusCode::kCancelled);
  EXPECT_EQ(taken, 3);
}

}  // namespace
}  // namespace attune::datasets
