#include "coordinator/drift/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/spec/json.h"

namespace attune::drift {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::DatasetVersion Dataset(const std::string& name, uint64_t train, uint64_t validation,
                           uint64_t unlabelled = 0) {
  v1::DatasetVersion dataset;
  dataset.set_name(name);
  dataset.set_version(1);
  (*dataset.mutable_examples())["train"] = train;
  (*dataset.mutable_examples())["validation"] = validation;
  if (unlabelled > 0) (*dataset.mutable_examples())["unlabelled"] = unlabelled;
  dataset.set_unlabelled(unlabelled);
  return dataset;
}

v1::Lineage LineageOf(const std::vector<std::pair<double, double>>& weights_and_shares) {
  v1::Lineage lineage;
  v1::JobSpec spec;
  for (const auto& [weight, share] : weights_and_shares) {
    v1::DatasetRef* dataset = spec.add_datasets();
    dataset->set_weight(weight);
    dataset->set_share(share);
    lineage.add_datasets("some@1");
  }
  lineage.set_spec(spec::ToJsonText(spec));
  return lineage;
}

std::vector<std::string> TextsOf(const std::vector<v1::ReferencePart>& parts) {
  std::vector<std::string> texts;
  for (const v1::ReferencePart& part : parts) {
    texts.push_back(part.dataset() + " " + part.split() + " " + std::to_string(part.examples()));
  }
  return texts;
}

const double kNear = 1e-12;

// 9,000 new rows and 100,000 old ones of which a share of 0.3 is mixed in: three tenths were old,
// not eleven twelfths.
TEST(TrainedShares, AreThoseThatTheJobWasMixedBy) {
  EXPECT_THAT(TrainedShares(LineageOf({{1, 0}, {0, 0.3}}),
                            {Dataset("new", 9000, 0), Dataset("old", 100'000, 0)}),
              ElementsAre(DoubleNear(0.7, kNear), DoubleNear(0.3, kNear)));
  EXPECT_THAT(
      TrainedShares(LineageOf({{1, 0}, {3, 0}, {0, 0.5}}),
                    {Dataset("a", 100, 900), Dataset("b", 100, 0), Dataset("c", 7, 0)}),
      ElementsAre(DoubleNear(0.125, kNear), DoubleNear(0.375, kNear), DoubleNear(0.5, kNear)));
}

TEST(TrainedShares, GoBySizeWhereTheLineageSaysNoMore) {
  v1::Lineage lineage;
  lineage.add_datasets("a@1");
  lineage.add_datasets("b@1");
  for (const char* spec : {"", "no json", "{\"datasets\": []}"}) {
    lineage.set_spec(spec);
    EXPECT_THAT(TrainedShares(lineage, {Dataset("a", 300, 0), Dataset("b", 100, 0)}),
                ElementsAre(DoubleNear(0.75, kNear), DoubleNear(0.25, kNear)));
  }
}

TEST(TrainedShares, OfSomeOfTheDataSetsAddUpToOne) {
  EXPECT_THAT(TrainedShares(LineageOf({{1, 0}, {0, 0.2}, {0, 0.4}}),
                            {Dataset("a", 100, 0), Dataset("b", 100, 0)}),
              ElementsAre(DoubleNear(0.8, kNear), DoubleNear(0.2, kNear)));
}

TEST(PlanReference, EachHasItsShareAndWhatWasHeldOutComesFirst) {
  EXPECT_THAT(TextsOf(PlanReference({Dataset("new", 9000, 450), Dataset("old", 100'000, 5000)},
                                    {0.7, 0.3}, false, 2000)),
              ElementsAre("new@1 validation 450", "new@1 train 950", "old@1 validation 600"));
}

TEST(PlanReference, OfASmallDataSetTheOthersTakeFewerSoThatTheMixtureStays) {
  EXPECT_THAT(TextsOf(PlanReference({Dataset("new", 630, 70), Dataset("old", 100'000, 5000)},
                                    {0.7, 0.3}, false, 2000)),
              ElementsAre("new@1 validation 70", "new@1 train 630", "old@1 validation 300"));
  // But not so few that little can be told.
  EXPECT_THAT(TextsOf(PlanReference({Dataset("new", 18, 2), Dataset("old", 100'000, 5000)},
                                    {0.5, 0.5}, false, 2000)),
              ElementsAre("new@1 validation 2", "new@1 train 18", "old@1 validation 250"));
}

TEST(PlanReference, TakesAllOfALittle) {
  EXPECT_THAT(TextsOf(PlanReference({Dataset("docs", 180, 20)}, {1}, false, 2000)),
              ElementsAre("docs@1 validation 20", "docs@1 train 180"));
  EXPECT_THAT(PlanReference({Dataset("docs", 0, 0)}, {1}, false, 2000), IsEmpty());
}

// Prompts without an answer were not trained on; of a data set that a person names all rows count.
TEST(PlanReference, UnlabelledRowsCountWhereAPersonNamesTheDataSet) {
  const v1::DatasetVersion mixed = Dataset("live", 100, 10, 5000);
  EXPECT_THAT(TextsOf(PlanReference({mixed}, {1}, false, 2000)),
              ElementsAre("live@1 validation 10", "live@1 train 100"));
  EXPECT_THAT(TextsOf(PlanReference({mixed}, {1}, true, 2000)), ElementsAre("live@1 all 2000"));
}

}  // namespace
}  // namespace attune::drift
