#include "coordinator/curation/cluster_decision.h"

#include <gmock/gmock.h>

#include <numeric>
#include <set>

namespace attune::curation {
namespace {

// Examples as letters: t train, v validation, u unlabelled of the base version, capitals: absent
// from the new version; n new, p new and unlabelled.
ClusterFacts Facts(const std::string& examples, std::vector<uint32_t> first) {
  ClusterFacts facts;
  facts.first = std::move(first);
  facts.base = static_cast<uint32_t>(std::min(examples.find_first_of("np"), examples.size()));
  facts.present = [examples](uint32_t i) { return examples[i] >= 'a'; };
  facts.side = [examples](uint32_t i) {
    switch (examples[i] | 0x20) {
      case 't':
        return Side::kTrain;
      case 'v':
        return Side::kValidation;
      case 'n':
        return Side::kUndecided;
      default:
        return Side::kUnlabelled;
    }
  };
  facts.similarity = [](uint32_t, uint32_t) { return 0.9; };
  facts.accepted = 0.8;
  return facts;
}

ClusterDecision Decide(ClusterFacts facts) {
  Result<ClusterDecision> decision = ClusterDecision::Make(std::move(facts));
  EXPECT_TRUE(decision.ok()) << decision.status().ToString();
  return *std::move(decision);
}

std::vector<uint32_t> Lost(const ClusterDecision& decision, uint32_t count) {
  std::vector<uint32_t> lost;
  for (uint32_t i = 0; i < count; ++i) {
    if (decision.LossOf(i)) lost.push_back(i);
  }
  return lost;
}

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ClusterDecision, NewExamplesGoWithTheFirstOfTheirCluster) {
  const ClusterDecision decision = Decide(Facts("nnnn", {0, 1, 0, 1}));
  EXPECT_EQ(decision.Representative(2), 0u);
  EXPECT_EQ(decision.Representative(3), 1u);
  EXPECT_EQ(decision.joined(), 2u);
  EXPECT_THAT(Lost(decision, 4), IsEmpty());
}

TEST(ClusterDecision, NewExamplesGoToValidationIfTheirClusterIsThere) {
  const ClusterDecision decision =
      Decide(Facts("tvtn"
                   "n",
                   {0, 0, 2, 0, 2}));
  EXPECT_EQ(decision.Representative(3), 1u);
  EXPECT_EQ(decision.Representative(4), 2u);
}

// Also where that example is not in the new version any more: a model was measured on it.
TEST(ClusterDecision, AnAbsentExampleDecidesToo) {
  const ClusterDecision decision = Decide(Facts("Vn", {0, 0}));
  EXPECT_EQ(decision.Representative(1), 0u);
  EXPECT_EQ(decision.joined(), 0u);
}

TEST(ClusterDecision, TrainLosesWhatValidationHas) {
  ClusterFacts facts = Facts(
      "ttvV"
      "n",
      {0, 0, 0, 3, 0});
  facts.similarity = [](uint32_t a, uint32_t) { return a == 1 ? 0.5 : 0.9; };
  const ClusterDecision decision = Decide(facts);
  EXPECT_THAT(Lost(decision, 5), ElementsAre(0));  // 1 is joined by others only
  EXPECT_TRUE(decision.LossOf(0)->near_validation);
  EXPECT_EQ(decision.LossOf(0)->of, 2u);
  EXPECT_FLOAT_EQ(decision.LossOf(0)->similarity, 0.9f);
}

TEST(ClusterDecision, TrainLosesWhatIsLikeAnExampleThatGoesToValidation) {
  ClusterFacts facts = Facts("tvn", {0, 0, 0});
  facts.similarity = [](uint32_t a, uint32_t b) { return a + b == 1 ? 0.7 : 0.9; };
  const ClusterDecision decision = Decide(facts);
  EXPECT_EQ(decision.Representative(2), 1u);
  EXPECT_THAT(Lost(decision, 3), ElementsAre(0));
  EXPECT_EQ(decision.LossOf(0)->of, 2u);
}

TEST(ClusterDecision, RemovesAllButTheFirst) {
  ClusterFacts facts = Facts("nnnpn", {0, 0, 2, 0, 0});
  facts.remove = true;
  facts.similarity = [](uint32_t a, uint32_t) { return a == 4 ? 0.7 : 0.95; };
  const ClusterDecision decision = Decide(facts);
  EXPECT_THAT(Lost(decision, 5), ElementsAre(1));
  EXPECT_FALSE(decision.LossOf(1)->near_validation);
  EXPECT_EQ(decision.LossOf(1)->of, 0u);
  EXPECT_EQ(decision.joined(), 1u);  // 4, which is like 1 only
}

TEST(ClusterDecision, RemovesNothingThatAnAppendBeginsWith) {
  ClusterFacts facts = Facts("tttn", {0, 0, 0, 0});
  facts.remove = true;
  EXPECT_THAT(Lost(Decide(facts), 4), ElementsAre(1, 2, 3));
  facts.base_stays = true;
  EXPECT_THAT(Lost(Decide(facts), 4), ElementsAre(3));
  // An absent first is not what stays.
  ClusterFacts absent = Facts("Tnn", {0, 0, 0});
  absent.remove = true;
  EXPECT_THAT(Lost(Decide(absent), 3), ElementsAre(2));
}

TEST(ClusterDecision, SplitsTheRowsOfATemplate) {
  std::vector<uint32_t> first(400);
  std::iota(first.begin(), first.end(), 0u);
  for (size_t i = 0; i < 101; ++i) first[i] = 0;
  first[399] = 398;
  const ClusterDecision decision = Decide(Facts(std::string(400, 'n'), first));
  EXPECT_EQ(decision.of_templates(), 101u);
  EXPECT_EQ(decision.Representative(50), 50u);
  EXPECT_EQ(decision.Representative(399), 398u);
  // A hundred are no template, nor is a tenth.
  first[100] = 100;
  EXPECT_EQ(Decide(Facts(std::string(400, 'n'), first)).of_templates(), 0u);
}

TEST(ClusterDecision, IsLinearInTheSizeOfACluster) {
  ClusterFacts facts = Facts(std::string(50'000, 'n'), std::vector<uint32_t>(50'000, 0));
  facts.remove = true;
  facts.similarity = [](uint32_t, uint32_t) { return 0.1; };
  EXPECT_EQ(Decide(facts).losses(), 0u);
}

TEST(ClusterDecision, EndsWhenNobodyWaitsForIt) {
  constexpr uint32_t kExamples = 5'000;
  // Looked at twice for clusters, then for their members and for losses.
  constexpr uint32_t kAsks = 4 * kExamples / CancelCheck::kStepsAnAsk + 1;
  ClusterFacts facts = Facts(std::string(kExamples / 2, 't') + std::string(kExamples / 2, 'n'),
                             std::vector<uint32_t>(kExamples, 0));
  for (uint32_t gone = 1; gone <= kAsks; ++gone) {
    uint32_t asked = 0;
    facts.cancelled = CancelCheck([&] { return ++asked == gone; });
    EXPECT_EQ(ClusterDecision::Make(facts).status().code(), StatusCode::kCancelled) << gone;
  }
  facts.cancelled = CancelCheck();
  Decide(facts);
}

}  // namespace
}  // namespace attune::curation
