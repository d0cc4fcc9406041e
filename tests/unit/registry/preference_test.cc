// Preference pairs in versions, as examples like others.

#include <nlohmann/json.hpp>

#include "common/base/hash.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

std::string PairRow(const std::string& prompt, const std::string& chosen,
                    const std::string& rejected) {
  return nlohmann::json{{"prompt", prompt}, {"chosen", chosen}, {"rejected", rejected}}.dump() +
         "\n";
}

std::string PairRows(int from, int to) {
  std::string rows;
  for (int i = from; i < to; ++i) {
    const std::string number = std::to_string(i);
    rows += PairRow("q" + number, "good " + number, "bad " + number);
  }
  return rows;
}

class PreferenceTest : public CatalogTest {
 protected:
  std::vector<nlohmann::json> Rows(const std::string& reference) {
    std::vector<nlohmann::json> rows;
    for (const std::string& line : Lines(reference)) rows.push_back(nlohmann::json::parse(line));
    return rows;
  }
};

TEST_F(PreferenceTest, TheyAreSplitAppendedAndReported) {
  auto header = Header("pairs");
  header.set_validation_fraction(0.2);
  const v1::DatasetVersion first =
      MustImport(header, PairRows(0, 100) + PairRow("q", "a", "a") + PairRows(0, 1));
  EXPECT_EQ(first.shape(), "preference");
  EXPECT_EQ(first.source_files(0).shape(), "preference");
  EXPECT_GT(first.examples().at("validation"), 5u);
  EXPECT_EQ(first.examples().at("train") + first.examples().at("validation"), 100u);
  EXPECT_EQ(first.duplicates(), 1u);
  ASSERT_EQ(first.rejected(), 1u);
  EXPECT_THAT(first.rejected_rows(0).reason(), HasSubstr("chosen and rejected are equal"));
  for (const auto& row : Rows("pairs")) EXPECT_EQ(row["kind"], "preference");

  const v1::DatasetVersion second =
      MustImport(AppendHeader("pairs"), PairRows(90, 110) + TextRows(0, 1));
  EXPECT_EQ(second.shape(), "mixed");
  EXPECT_THAT(second.kinds(), UnorderedElementsAre(Pair("preference", 110u), Pair("text", 1u)));
  EXPECT_EQ(second.duplicates(), 10u);
  EXPECT_THAT(Sides("pairs@2"), IsSupersetOf(Sides("pairs@1")));
  // Of shards that are written anew, line by line.
  EXPECT_EQ(MustImport(Header("pairs"), PairRows(0, 95)).shape(), "preference");
  EXPECT_THAT(Lines("pairs@3"), SizeIs(95));
}

TEST_F(PreferenceTest, TheyAreNoRowsWithoutAnAnswer) {
  auto header = Header("pairs");
  header.set_allow_unlabelled(true);
  const v1::DatasetVersion version =
      MustImport(header, PairRows(0, 2) + "{\"prompt\":\"only asked\"}\n");
  EXPECT_EQ(version.unlabelled(), 1u);
  EXPECT_EQ(version.shape(), "preference");
  EXPECT_EQ(version.rejected(), 0u);
}

TEST_F(PreferenceTest, NearDuplicatesAreOnOneSide) {
  Random random(7);
  std::string rows;
  for (int i = 0; i < 40; ++i) {
    std::string story;
    for (int word = 0; word < 60; ++word) {
      story += "word" + std::to_string(random.Below(100'000)) + " ";
    }
    rows += PairRow(story, "yes", "no") + PairRow(story, "yes!", "no");
  }
  auto header = Header("pairs");
  header.set_validation_fraction(0.5);
  const v1::DatasetVersion version = MustImport(header, rows);
  EXPECT_THAT(version.found(), UnorderedElementsAre(Pair("near_duplicate", 40)));
  const auto sides = Sides("pairs");
  std::map<std::string, std::set<std::string>> by_prompt;
  for (const auto& row : Rows("pairs")) by_prompt[row["prompt"]].insert(sides.at(row["id"]));
  ASSERT_THAT(by_prompt, SizeIs(40));
  for (const auto& [prompt, sides_of] : by_prompt) EXPECT_THAT(sides_of, SizeIs(1));
}

TEST_F(PreferenceTest, BothAnswersAreRedacted) {
  auto header = Header("pairs");
  auto* pattern = header.mutable_spec()->mutable_curation()->add_patterns();
  pattern->set_name("email");
  pattern->set_action("redact");
  const v1::DatasetVersion version =
      MustImport(header, PairRow("whom?", "ask a@acme.org", "b@acme.org") +
                             PairRow("which?", "c@acme.org", "d@acme.org"));
  const auto rows = Rows("pairs");
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0]["chosen"], "ask [EMAIL]");
  EXPECT_EQ(rows[0]["rejected"], "[EMAIL]");
  // The other's answers are one when redacted.
  EXPECT_THAT(version.dropped(), UnorderedElementsAre(Pair("pattern:email", 1)));
}

}  // namespace
}  // namespace attune::datasets
