// An import for which nobody waits any more ends soon, wherever it is.

#include "common/base/cancel_check.h"
#include "common/spec/curation_spec.h"
#include "coordinator/datasets/importer.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;

constexpr int kRows = 8 * CancelCheck::kStepsAnAsk;

class CancelTest : public CatalogTest {
 protected:
  // An import that begins with docs@1 and makes no version.
  Status Run(const std::string& action, const std::string& rows, std::function<bool()> gone) {
    const TemporaryFolder folder;
    ImportOptions options{.threads = 1, .cancelled = CancelCheck(std::move(gone))};
    options.curation.mutable_near_duplicates()->set_action(action);
    Importer importer(folder.path(), options);
    ATTUNE_ASSIGN_OR_RETURN(const v1::DatasetVersion base, catalog_.Get("docs@1"));
    ATTUNE_RETURN_IF_ERROR(importer.Begin(base, BaseVersion::Use::kReplace));
    ATTUNE_RETURN_IF_ERROR(importer.Append("rows", rows));
    return importer.Finish().status();
  }

  // How often it asks when somebody waits to the end.
  int Asks(const std::string& action, const std::string& rows) {
    int asks = 0;
    const Status status = Run(action, rows, [&] {
      ++asks;
      return false;
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return asks;
  }
};

TEST_F(CancelTest, EndsAtEachAsk) {
  constexpr int kFew = 2 * CancelCheck::kStepsAnAsk;
  MustImport(Header("docs"), TextRows(0, kFew));
  const std::string rows = TextRows(1, kFew + 1);
  const int all = Asks("remove", rows);
  for (int gone = 1; gone <= all; gone += 7) {
    int asks = 0;
    const Status status = Run("remove", rows, [&] { return ++asks >= gone; });
    EXPECT_EQ(status.code(), StatusCode::kCancelled) << gone << ": " << status.ToString();
    EXPECT_EQ(asks, gone);
  }
}

TEST_F(CancelTest, AsksWhileSignaturesAreMade) {
  MustImport(Header("docs"), TextRows(0, kRows));
  const int with = Asks("together", TextRows(0, 1));
  for (const auto& entry : fs::directory_iterator(storage_.path() / "datasets/docs/1")) {
    if (entry.path().extension() == ".minhash") fs::remove(entry.path());
  }
  EXPECT_GE(Asks("together", TextRows(0, 1)), with + 7);
}

TEST_F(CancelTest, AsksWhileLinesAreCopied) {
  MustImport(Header("docs"), TextRows(0, kRows));
  const int shared = Asks("off", TextRows(0, kRows));
  EXPECT_GE(shared, 8 + 2);  // for rows, and for a shard of each split
  // A row less in train, and the others of its shard are copied.
  const auto json = nlohmann::json::parse(Lines("docs@1").front());
  std::string rows;
  for (int i = 0; i < kRows; ++i) {
    const std::string row = TextRows(i, i + 1);
    if (nlohmann::json::parse(row).at("text") != json.at("text")) rows += row;
  }
  EXPECT_GE(Asks("off", rows), shared + 5);
}

TEST_F(CancelTest, AsksWhileABatchIsRead) {
  constexpr int kLong = 100;
  MustImport(Header("docs"), TextRows(0, 1));
  std::string rows;
  for (int i = 0; i < kLong; ++i) {
    rows += "{\"text\":\"" + std::to_string(i) + std::string(20'000, ' ') + "\"}\n";
  }
  EXPECT_GE(Asks("off", rows), Asks("off", TextRows(1, kLong + 1)) + kLong / 2);
}

TEST_F(CancelTest, AsksWhileSidesAreDecided) {
  MustImport(Header("docs"), TextRows(0, 1));
  EXPECT_GE(Asks("off", TextRows(1, kRows + 1)), 8 + 8);  // for sides, for rows
}

}  // namespace
}  // namespace attune::datasets
