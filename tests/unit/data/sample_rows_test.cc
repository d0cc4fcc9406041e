#include "worker/engine/data/sample_rows.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/base/hash.h"
#include "tests/support/temporary_folder.h"

namespace attune::engine {
namespace {

using nlohmann::json;

std::string IdOf(int i) {
  return Sha256Hex(std::to_string(i)).substr(0, 32);
}

class SampleRowsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    json shards = json::array();
    int next = 0;
    for (const auto& [split, count] : {std::pair("train", 30), std::pair("train", 20),
                                       std::pair("validation", 10), std::pair("unlabelled", 5)}) {
      std::string lines;
      for (int i = 0; i < count; ++i) lines += json{{"id", IdOf(next++)}}.dump() + "\n";
      const std::string file = "shard-" + std::to_string(next) + ".jsonl";
      folder_.Write(file, lines);
      shards.push_back(
          {{"file", file}, {"split", split}, {"examples", count}, {"sha256", Sha256Hex(lines)}});
    }
    folder_.Write("manifest.json", json{{"checksum", "c"}, {"shards", shards}}.dump());
    dataset_ = {.reference = "d@1", .path = folder_.path(), .checksum = "c"};
  }

  // The ids of rows first .. last - 1, lowest first.
  static std::vector<std::string> Ids(int first, int last, size_t most = SIZE_MAX) {
    std::vector<std::string> ids;
    for (int i = first; i < last; ++i) ids.push_back(IdOf(i));
    std::ranges::sort(ids);
    ids.resize(std::min(most, ids.size()));
    return ids;
  }
  std::vector<std::string> Sample(const std::vector<std::string>& splits, int max) {
    const auto rows = SampleRows(dataset_, splits, max);
    EXPECT_TRUE(rows.ok()) << rows.status().ToString();
    std::vector<std::string> ids;
    for (const SampledRow& row : *rows) {
      ids.push_back(row.id);
      EXPECT_EQ(json::parse(row.line)["id"], row.id);
    }
    return ids;
  }

  TemporaryFolder folder_;
  DatasetFiles dataset_;
};

TEST_F(SampleRowsTest, TakesTheLowestIdsOverAllShards) {
  EXPECT_EQ(Sample({"train"}, 7), Ids(0, 50, 7));
  EXPECT_EQ(Sample({"train"}, 0), Ids(0, 50));
  EXPECT_EQ(Sample({"validation"}, 100), Ids(50, 60));
  EXPECT_EQ(Sample({}, 12), Ids(0, 65, 12));
  EXPECT_TRUE(Sample({"test"}, 0).empty());
}

TEST_F(SampleRowsTest, ADamagedShardIsDataLoss) {
  folder_.Write("shard-60.jsonl", "{}\n");
  EXPECT_EQ(SampleRows(dataset_, {"validation"}, 0).status().code(), StatusCode::kDataLoss);
  dataset_.checksum = "other";
  EXPECT_EQ(SampleRows(dataset_, {}, 0).status().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace attune::engine
