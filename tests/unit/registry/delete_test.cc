#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <future>

#include "common/base/files.h"
#include "coordinator/datasets/catalog_commit.h"
#include "coordinator/datasets/leases.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DeleteTest : public CatalogTest {
 protected:
  static v1::DeleteDatasetsRequest Request(const std::string& dataset,
                                           const std::string& request_id = "") {
    v1::DeleteDatasetsRequest request;
    request.set_request_id(request_id);
    request.set_dataset(dataset);
    request.set_all(dataset.find('@') == std::string::npos);
    return request;
  }
  // And looks whether the disk has what was said to be free.
  v1::DeleteDatasetsResponse MustDelete(const std::string& dataset) {
    const uint64_t before = storage_.Bytes("datasets");
    Result<v1::DeleteDatasetsResponse> response = catalog_.Delete(Request(dataset), "user:ann");
    EXPECT_TRUE(response.ok()) << response.status().ToString();
    if (!response.ok()) return v1::DeleteDatasetsResponse();
    EXPECT_EQ(storage_.Bytes("datasets") + response->bytes_freed(), before) << dataset;
    return *response;
  }
  // As a coordinator that begins anew finds it.
  std::unique_ptr<Catalog> Restart() {
    storage_.Reopen();
    auto catalog = std::make_unique<Catalog>(storage_.database(), storage_.path());
    EXPECT_TRUE(catalog->Reconcile().ok());
    return catalog;
  }
  static Users UsedBy(const std::string& dataset, bool running) {
    InUse in_use = [dataset](Transaction&) {
      return std::map<std::string, std::string>{{dataset, "somebody needs it"}};
    };
    Users users;
    (running ? users.running : users.wanting).push_back(in_use);
    return users;
  }
};

TEST_F(DeleteTest, TakesAVersionAndLeavesTheOthersAsTheyWere) {
  MustImport(Header("docs"), TextRows(0, 100));
  MustImport(AppendHeader("docs"), TextRows(100, 200));
  MustImport(AppendHeader("docs"), TextRows(200, 300));
  const std::vector<std::string> first = Lines("docs@1"), third = Lines("docs@3");
  const v1::DeleteDatasetsResponse response = MustDelete("docs@2");
  EXPECT_EQ(response.items_size(), 1);
  EXPECT_LT(response.bytes_freed(), 3000u) << "all of its rows others have, too";
  EXPECT_EQ(catalog_.Get("docs@2").status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(fs::exists(storage_.path() / "datasets/docs/2"));
  EXPECT_EQ(Lines("docs@1"), first);
  EXPECT_EQ(Lines("docs@3"), third);
  const uint64_t own = catalog_.Show("docs@3")->own_bytes();
  EXPECT_EQ(MustDelete("docs@3").bytes_freed(), own);
  EXPECT_EQ(MustImport(AppendHeader("docs"), TextRows(0, 110)).version(), 4u)
      << "no number is given out again";
}

TEST_F(DeleteTest, TakesAllOfAName) {
  MustImport(Header("docs"), TextRows(0, 100));
  MustImport(AppendHeader("docs"), TextRows(100, 200));
  MustImport(Header("other"), TextRows(0, 100));
  EXPECT_EQ(MustDelete("docs").items_size(), 2);
  EXPECT_FALSE(fs::exists(storage_.path() / "datasets/docs"));
  EXPECT_EQ(Lines("other").size(), 100u);
  EXPECT_EQ(catalog_.Get("docs").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(MustImport(Header("docs"), TextRows(0, 10)).version(), 3u);
}

TEST_F(DeleteTest, TheSameRequestAgainIsTheFirstAnswer) {
  MustImport(Header("docs"), TextRows(0, 10));
  MustImport(Header("docs"), TextRows(0, 20));
  ASSERT_TRUE(catalog_.Delete(Request("docs@1", "r1"), "user:ann").ok());
  Result<v1::DeleteDatasetsResponse> again = catalog_.Delete(Request("docs@1", "r1"), "user:ann");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->items(0).dataset(), "docs@1");
  EXPECT_EQ(catalog_.Delete(Request("docs@1"), "user:ann").status().code(), StatusCode::kNotFound);
}

TEST_F(DeleteTest, SaysWhatIsMeant) {
  MustImport(Header("docs"), TextRows(0, 10));
  v1::DeleteDatasetsRequest request = Request("docs");
  request.set_all(false);
  EXPECT_THAT(catalog_.Delete(request, "user:ann").status().message(), HasSubstr("--all"));
  request = Request("docs@1");
  request.set_all(true);
  EXPECT_EQ(catalog_.Delete(request, "user:ann").status().field(), "dataset");
  EXPECT_THAT(catalog_.Delete(Request("docs@7"), "user:ann").status().message(),
              HasSubstr("no version 7"));
  EXPECT_THAT(catalog_.Delete(Request("cods"), "user:ann").status().message(),
              HasSubstr("there are docs"));
  request = Request("docs");
  request.set_dry_run(true);
  Result<v1::DeleteDatasetsResponse> planned = catalog_.Delete(request, "user:ann");
  ASSERT_TRUE(planned.ok());
  EXPECT_EQ(planned->bytes_freed(), storage_.Bytes("datasets"));
  EXPECT_EQ(Lines("docs@1").size(), 10u);
}

TEST_F(DeleteTest, IsRefusedWhileItIsNeeded) {
  MustImport(Header("docs"), TextRows(0, 10));
  MustImport(Header("docs"), TextRows(0, 20));
  for (const bool running : {true, false}) {
    Catalog catalog(storage_.database(), storage_.path(), UsedBy("docs", running));
    for (const char* dataset : {"docs@2", "docs"}) {  // the newest, which "docs" means
      const std::set<std::string> before = storage_.Tree("datasets");
      Status status = catalog.Delete(Request(dataset), "user:ann").status();
      EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
      EXPECT_THAT(status.message(), HasSubstr("docs@2: somebody needs it"));
      EXPECT_EQ(storage_.Tree("datasets"), before);
      v1::DeleteDatasetsRequest request = Request(dataset);
      request.set_dry_run(true);
      EXPECT_EQ(catalog.Delete(request, "user:ann")->items_size(), request.all() ? 2 : 1);
    }
    v1::DeleteDatasetsRequest forced = Request("docs@2");
    forced.set_force(true);
    EXPECT_EQ(catalog.Delete(forced, "user:ann").ok(), !running);
  }
  Catalog catalog(storage_.database(), storage_.path(), UsedBy("docs@2", true));
  EXPECT_TRUE(catalog.Delete(Request("docs@1"), "user:ann").ok());
}

TEST_F(DeleteTest, IsRefusedWhileItIsRead) {
  MustImport(Header("docs"), TextRows(0, 100));
  {
    Result<std::unique_ptr<Import>> append = catalog_.StartImport(AppendHeader("docs"));
    ASSERT_TRUE(append.ok());
    Status status = catalog_.Delete(Request("docs@1"), "user:ann").status();
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(status.message(), HasSubstr("docs@1 is being read"));
    ASSERT_TRUE((*append)->Append("f", TextRows(100, 120)).ok());
    EXPECT_EQ((*append)->Finish()->version(), 2u);
  }
  MustDelete("docs@1");
  EXPECT_EQ(Lines("docs@2").size(), 120u);
}

// Whoever begins to need a version while it is being deleted is told so, and a deletion is told of
// whoever needs it.
TEST_F(DeleteTest, NobodyBeginsToNeedWhatIsBeingDeleted) {
  MustImport(Header("docs"), TextRows(0, 10));
  std::atomic<bool> needed = false;
  const auto begin_to_need = [&] {
    return storage_.database()->Write([&](Transaction& transaction) -> Status {
      ATTUNE_RETURN_IF_ERROR(Catalog::Check(transaction, "docs@1"));
      needed = true;
      return Status();
    });
  };
  ASSERT_TRUE(begin_to_need().ok());
  std::future<Status> late;
  Users users;
  users.running.push_back([&](Transaction&) {
    if (needed) return std::map<std::string, std::string>{{"docs@1", "somebody needs it"}};
    late = std::async(std::launch::async, begin_to_need);  // when the deletion has asked
    return std::map<std::string, std::string>();
  });
  Catalog catalog(storage_.database(), storage_.path(), users);
  EXPECT_THAT(catalog.Delete(Request("docs@1"), "user:ann").status().message(),
              HasSubstr("somebody needs it"));
  needed = false;
  EXPECT_TRUE(catalog.Delete(Request("docs@1"), "user:ann").ok());
  EXPECT_EQ(late.get().code(), StatusCode::kNotFound);
  EXPECT_FALSE(needed);
}

// Every state that kill -9 can leave.
TEST_F(DeleteTest, AKilledDeletionIsFinishedOrNeverWas) {
  MustImport(Header("docs"), TextRows(0, 100));
  MustImport(Header("docs"), TextRows(0, 200));
  const fs::path docs = storage_.path() / "datasets/docs", copy = storage_.path() / "copy";
  fs::copy(docs / "1", copy, fs::copy_options::recursive);
  storage_.Write("datasets/docs/1/.uncommitted", "");  // before the commit
  EXPECT_EQ(Restart()->Get("docs@1")->version(), 1u);
  EXPECT_FALSE(fs::exists(docs / "1/.uncommitted"));

  MustDelete("docs@1");
  fs::copy(copy, docs / "1", fs::copy_options::recursive);  // right after the commit
  storage_.Write("datasets/docs/1/.uncommitted", "");
  Restart();
  EXPECT_FALSE(fs::exists(docs / "1"));
  fs::copy(copy, docs / ".removed-abc", fs::copy_options::recursive);  // while files went
  fs::remove(docs / ".removed-abc/manifest.json");
  auto catalog = Restart();
  EXPECT_THAT(storage_.Tree("datasets"), ::testing::Not(::testing::Contains(HasSubstr("removed"))));
  EXPECT_EQ(ImportText(*catalog, AppendHeader("docs"), TextRows(0, 210))->version(), 3u);
}

class TokensTest : public DeleteTest {
 protected:
  // An entry of the cache for each shard of a version.
  void Tokenize(const std::string& reference) {
    auto manifest = ReadFile(fs::path(catalog_.Get(reference)->path()) / "manifest.json");
    static const std::regex sha("\"sha256\": \"([0-9a-f]{64})\"");
    for (std::sregex_iterator it(manifest->begin(), manifest->end(), sha), end; it != end; ++it) {
      storage_.Write("cache/tokens/key/" + (*it)[1].str().substr(0, 32) + ".tokens", "t");
    }
  }
};

TEST_F(TokensTest, GoWithTheLastVersionThatHasTheShard) {
  MustImport(Header("docs"), TextRows(0, 100));
  MustImport(AppendHeader("docs"), TextRows(100, 200));
  Tokenize("docs@1");
  const std::set<std::string> first = storage_.Tree("cache");
  Tokenize("docs@2");
  EXPECT_GT(storage_.Tree("cache").size(), first.size());
  storage_.Write("cache/tokens/key/train.tokens", "of another shape");
  MustDelete("docs@2");
  std::set<std::string> left = first;
  left.insert("tokens/key/train.tokens");
  EXPECT_EQ(storage_.Tree("cache"), left);
  MustImport(Header("same"), TextRows(0, 100));  // equal shards under another name
  MustDelete("docs");
  EXPECT_EQ(storage_.Tree("cache"), left);
  MustDelete("same");
  EXPECT_EQ(storage_.Tree("cache"),
            (std::set<std::string>{"tokens", "tokens/key", "tokens/key/train.tokens"}));
}

TEST_F(TokensTest, StayWhileItIsNotKnownWhoUsesThem) {
  MustImport(Header("docs"), TextRows(0, 100));
  MustImport(Header("same"), TextRows(0, 100));  // equal shards under another name
  Tokenize("docs@1");
  const std::set<std::string> all = storage_.Tree("cache");
  const fs::path manifest = fs::path(catalog_.Get("same")->path()) / "manifest.json";
  const std::string whole = *ReadFile(manifest);
  ASSERT_TRUE(WriteFileAtomically(manifest, "damaged").ok());
  MustDelete("docs");
  EXPECT_EQ(storage_.Tree("cache"), all);
  ASSERT_TRUE(WriteFileAtomically(manifest, whole).ok());
  MustDelete("same");
  EXPECT_EQ(storage_.Tree("cache"), (std::set<std::string>{"tokens", "tokens/key"}));
}

// So that none stays for ever because of an error that passes.
TEST_F(TokensTest, GoAtTheNextStartWhenItCannotBeReadWhoUsesThem) {
  MustImport(Header("docs"), TextRows(0, 100));
  MustImport(Header("other"), TextRows(100, 200));
  Tokenize("docs@1");
  const std::set<std::string> all = storage_.Tree("cache");
  const fs::path manifest = fs::path(catalog_.Get("other")->path()) / "manifest.json";
  fs::rename(manifest, storage_.path() / "aside");
  fs::create_directory(manifest);  // whoever reads it has an error, even root
  const Status status = catalog_.Delete(Request("docs"), "user:ann").status();
  EXPECT_THAT(status.message(), HasSubstr("not all of its space is free"));
  EXPECT_EQ(storage_.Tree("cache"), all);
  EXPECT_TRUE(fs::exists(storage_.path() / "datasets/docs/1"));
  fs::remove(manifest);
  fs::rename(storage_.path() / "aside", manifest);
  Restart();
  EXPECT_FALSE(fs::exists(storage_.path() / "datasets/docs/1"));
  EXPECT_EQ(storage_.Tree("cache"), (std::set<std::string>{"tokens", "tokens/key"}));
}

// The other's manifest is a pipe, which says when it is opened: after the rows were listed.
TEST_F(TokensTest, GoWhileAnotherVersionIsBeingDeleted) {
  MustImport(Header("docs"), TextRows(0, 100));
  MustImport(Header("other"), TextRows(100, 200));
  Tokenize("docs@1");
  const fs::path manifest = fs::path(catalog_.Get("other")->path()) / "manifest.json";
  fs::remove(manifest);
  ASSERT_EQ(mkfifo(manifest.c_str(), 0600), 0);
  std::future<Status> deleted = std::async(
      std::launch::async, [&] { return catalog_.Delete(Request("docs"), "user:ann").status(); });
  {
    std::ofstream pipe(manifest);  // waits until it is read
    ASSERT_TRUE(storage_.database()
                    ->Write([](Transaction& transaction) {
                      DatasetTable().Delete(transaction, "other", 1);
                      return Status();
                    })
                    .ok());
  }
  EXPECT_TRUE(deleted.get().ok());
  EXPECT_EQ(storage_.Tree("cache"), (std::set<std::string>{"tokens", "tokens/key"}));
}

TEST_F(TokensTest, OfAKilledDeletionGoAtTheNextStart) {
  MustImport(Header("docs"), TextRows(0, 100));
  Tokenize("docs@1");
  const fs::path docs = storage_.path() / "datasets/docs", copy = storage_.path() / "copy";
  fs::copy(docs / "1", copy, fs::copy_options::recursive);
  fs::copy(storage_.path() / "cache", storage_.path() / "kept", fs::copy_options::recursive);
  MustDelete("docs");
  fs::create_directories(docs);
  fs::rename(copy, docs / ".removed-abc");
  fs::remove_all(storage_.path() / "cache");
  fs::rename(storage_.path() / "kept", storage_.path() / "cache");
  Restart();
  EXPECT_THAT(storage_.Tree("datasets"), IsEmpty());
  EXPECT_EQ(storage_.Tree("cache"), (std::set<std::string>{"tokens", "tokens/key"}));
}

TEST(Leases, AreGivenUntilARemovalBegins) {
  Leases leases;
  Result<Leases::Lease> one = leases.Take("a@1");
  ASSERT_TRUE(one.ok());
  Leases::Lease moved = *std::move(one);
  EXPECT_FALSE(leases.BeginRemoval({"a@1", "a@2"}).ok());
  EXPECT_TRUE(leases.Take("a@2").ok()) << "nothing was begun";
  moved = Leases::Lease();
  ASSERT_TRUE(leases.BeginRemoval({"a@1", "a@2"}).ok());
  EXPECT_EQ(leases.Take("a@2").status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(leases.BeginRemoval({"a@1"}).ok());
  leases.EndRemoval({"a@1", "a@2"});
  EXPECT_TRUE(leases.Take("a@2").ok());
}

}  // namespace
}  // namespace attune::datasets
