// What changed between versions, and rows drawn from one.

#include <nlohmann/json.hpp>

#include "coordinator/datasets/shard_lines.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DiffTest : public CatalogTest {
 protected:
  v1::DatasetDiff Diff(const std::string& before, const std::string& after, uint32_t examples = 3) {
    v1::DiffDatasetsRequest request;
    request.set_before(before);
    request.set_after(after);
    request.set_examples(examples);
    Result<v1::DatasetDiff> diff = catalog_.Diff(request);
    EXPECT_TRUE(diff.ok()) << diff.status().ToString();
    return diff.ok() ? *diff : v1::DatasetDiff();
  }
  std::vector<std::string> Sample(uint32_t examples, uint64_t seed, const std::string& split = "") {
    v1::SampleDatasetRequest request;
    request.set_dataset("docs");
    request.set_examples(examples);
    request.set_seed(seed);
    request.set_split(split);
    std::vector<std::string> lines;
    Status status = catalog_.Sample(request, [&](std::string_view line) {
      lines.emplace_back(line);
      return Status();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return lines;
  }
};

TEST_F(DiffTest, CountsAndShowsEachKindOfChange) {
  auto header = Header("a");
  header.set_validation_fraction(0);
  MustImport(header, "{\"text\":\"row 0\",\"source\":\"old\"}\n" + TextRows(1, 100));
  header.set_name("b");
  header.set_validation_fraction(1);
  MustImport(header,
             "{\"text\":\"row 0\",\"source\":\"new\"}\n" + TextRows(1, 90) + TextRows(100, 105));
  const v1::DatasetDiff diff = Diff("a", "b@1");
  EXPECT_EQ(diff.before(), "a@1");
  EXPECT_EQ(diff.after(), "b@1");
  EXPECT_EQ(diff.added().examples(), 5u);
  EXPECT_EQ(diff.added().by_split().at("validation"), 5u);
  EXPECT_EQ(diff.removed().examples(), 10u);
  EXPECT_EQ(diff.removed().by_split().at("train"), 10u);
  EXPECT_EQ(diff.moved().examples(), 90u);
  EXPECT_EQ(diff.moved().by_split().at("train to validation"), 90u);
  EXPECT_EQ(diff.changed().examples(), 1u);
  EXPECT_EQ(diff.unchanged(), 0u);
  EXPECT_EQ(diff.shared_bytes(), 0u);
  EXPECT_EQ(diff.added().shown_size(), 3);
  ASSERT_EQ(diff.changed().shown_size(), 1);
  EXPECT_THAT(diff.changed().shown(0).before(), HasSubstr("{\"source\":\"old\"}"));
  EXPECT_THAT(diff.changed().shown(0).after(), HasSubstr("{\"source\":\"new\"}"));
  EXPECT_EQ(diff.removed().shown(0).after(), "");
}

TEST_F(DiffTest, OfAnAppendReadsWhatItAdded) {
  MustImport(Header("docs"), TextRows(0, 500));
  MustImport(AppendHeader("docs"), TextRows(500, 520));
  const v1::DatasetDiff diff = Diff("docs@1", "docs", 0);
  EXPECT_EQ(diff.added().examples(), 20u);
  EXPECT_EQ(diff.unchanged(), 500u);
  EXPECT_EQ(diff.removed().examples() + diff.moved().examples() + diff.changed().examples(), 0u);
  EXPECT_EQ(diff.shared_bytes(), catalog_.Get("docs@1")->bytes());
  EXPECT_EQ(diff.before_bytes(), 0u);
  EXPECT_EQ(diff.after_bytes(), catalog_.Get("docs@2")->stored_bytes());
  const v1::DatasetDiff back = Diff("docs@2", "docs@1");
  EXPECT_EQ(back.removed().examples(), 20u);
  EXPECT_EQ(Diff("docs", "docs").unchanged(), 520u);
}

TEST_F(DiffTest, ASampleIsDrawnBySeedAndHoldsEachRowOnce) {
  MustImport(Header("docs"), TextRows(0, 200));
  const std::vector<std::string> all = Lines("docs");
  const std::vector<std::string> drawn = Sample(20, 1);
  EXPECT_EQ(drawn.size(), 20u);
  EXPECT_EQ(std::set<std::string>(drawn.begin(), drawn.end()).size(), 20u);
  EXPECT_THAT(all, ::testing::IsSupersetOf(drawn));
  EXPECT_EQ(Sample(20, 1), drawn);
  EXPECT_NE(Sample(20, 2), drawn);
  EXPECT_EQ(Sample(500, 3), all);
  EXPECT_EQ(Sample(1000, 1, "validation").size(), Ids("docs", "validation").size());
  EXPECT_THAT(Sample(10, 1, "unlabelled"), IsEmpty());
}

TEST_F(DiffTest, ASampleOfBadRequestsIsRefused) {
  MustImport(Header("docs"), TextRows(0, 20));
  v1::SampleDatasetRequest request;
  request.set_dataset("docs");
  const auto take = [](std::string_view) { return Status(); };
  EXPECT_EQ(catalog_.Sample(request, take).field(), "examples");
  request.set_examples(1);
  request.set_split("test");
  EXPECT_EQ(catalog_.Sample(request, take).field(), "split");
  request.set_split("");
  EXPECT_EQ(catalog_.Sample(request, [](std::string_view) { return Cancelled("enough"); }).code(),
            StatusCode::kCancelled);
}

// Each number of 0 to 9 is as likely in a draw of 3: 3,000 of 10,000 draws, within 5 deviations.
TEST(DrawBelow, IsFair) {
  std::map<uint64_t, int> counts;
  for (uint64_t seed = 0; seed < 10000; ++seed) {
    const std::vector<uint64_t> drawn = DrawBelow(10, 3, seed);
    ASSERT_EQ(drawn.size(), 3u);
    for (uint64_t number : drawn) ++counts[number];
  }
  EXPECT_EQ(counts.size(), 10u);
  for (const auto& [number, count] : counts) EXPECT_NEAR(count, 3000, 5 * 46) << number;
  EXPECT_EQ(DrawBelow(3, 9, 1), (std::vector<uint64_t>{0, 1, 2}));
  EXPECT_THAT(DrawBelow(0, 9, 1), IsEmpty());
}

}  // namespace
}  // namespace attune::datasets
