#include "coordinator/drift/detect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/unit/drift/world.h"

namespace attune::drift {
namespace {

using test::Change;
using test::Pool;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::UnorderedElementsAre;

const Pool& Usual() {
  static const Pool pool = test::MakePool(4000, 0, 5, 1);
  return pool;
}

const Pool& Other() {
  static const Pool pool = test::MakePool(1000, 5, 2, 2);
  return pool;
}

std::vector<v1::DetectorResult> DetectOk(const Sample& reference, const Sample& window,
                                         const DetectOptions& options = {}) {
  auto results = Detect(reference, window, options);
  EXPECT_TRUE(results.ok()) << results.status().ToString();
  return results.ok() ? *results : std::vector<v1::DetectorResult>();
}

const v1::DetectorResult& Find(const std::vector<v1::DetectorResult>& results,
                               const std::string& detector, const std::string& feature) {
  for (const v1::DetectorResult& result : results) {
    if (result.detector() == detector && result.feature() == feature) return result;
  }
  ADD_FAILURE() << "no " << detector << " of " << feature;
  static const v1::DetectorResult none;
  return none;
}

std::vector<std::string> Drifted(const std::vector<v1::DetectorResult>& results) {
  std::vector<std::string> names;
  for (const v1::DetectorResult& result : results) {
    if (result.drifted()) names.push_back(result.feature());
  }
  return names;
}

TEST(Detect, FindsNothingWhereNothingChanged) {
  Random random(1);
  const Sample reference = test::Draw(Usual(), 600, random);
  const auto results = DetectOk(reference, test::Draw(Usual(), 300, random));
  EXPECT_THAT(Drifted(results), ::testing::IsEmpty());
  std::vector<std::string> features;
  for (const auto& result : results) {
    features.push_back(result.detector() + " " + result.feature());
    EXPECT_GT(result.level(), 0);
    EXPECT_GT(result.effect_min(), 0);
    EXPECT_GE(result.adjusted_p(), result.p_value());
  }
  EXPECT_THAT(features,
              UnorderedElementsAre("mmd embedding", "domain_classifier embedding", "ks length",
                                   "fisher vocabulary", "chi_square category topic", "ks loss",
                                   "ks entropy", "quality labelled loss"));
}

TEST(Detect, FindsEachKindOfChange) {
  Random random(2);
  const Sample reference = test::Draw(Usual(), 600, random);
  const auto drifted = [&](const Change& change) {
    return Drifted(DetectOk(reference, test::Draw(Usual(), 300, random, change, Other())));
  };
  EXPECT_THAT(drifted({.new_share = 0.5}),
              IsSupersetOf({"embedding", "vocabulary", "category topic"}));
  EXPECT_THAT(drifted({.loss = 1.3}), UnorderedElementsAre("loss", "labelled loss"));
  EXPECT_THAT(drifted({.length = 2}), UnorderedElementsAre("length"));
}

// A verdict follows from how much changed, not from how many examples were seen.
TEST(Detect, AChangeBelowTheMinimaIsNoDriftAtAnySize) {
  const Change small{.loss = 1.03, .length = 1.04};
  double p_length = 1, p_loss = 1;
  for (const size_t size : {200, 1000, 5000, 20000}) {
    Random random(size);
    Sample reference = test::Draw(Usual(), size, random);
    Sample window = test::Draw(Usual(), size, random, small);
    for (Sample* sample : {&reference, &window}) sample->embeddings.clear();
    const auto results = DetectOk(reference, window);
    EXPECT_THAT(Drifted(results), ::testing::IsEmpty()) << size;
    p_length = Find(results, "ks", "length").p_value();
    p_loss = Find(results, "ks", "loss").p_value();
  }
  EXPECT_LT(p_length, 1e-20);
  EXPECT_LT(p_loss, 1e-4);
}

TEST(Detect, ATokenMoreOfNearlyEqualLengthsIsNoDrift) {
  Sample reference, window;
  for (int i = 0; i < 300; ++i) {
    reference.lengths.push_back(100 + i % 2);
    window.lengths.push_back(101 + i % 2);
  }
  const auto one = DetectOk(reference, window);
  EXPECT_LT(Find(one, "ks", "length").p_value(), 1e-9);
  EXPECT_NEAR(Find(one, "ks", "length").effect(), 0.01, 0.001);
  EXPECT_THAT(Drifted(one), ::testing::IsEmpty());
  for (double& length : window.lengths) length = std::round(length * 1.2);
  EXPECT_THAT(Drifted(DetectOk(reference, window)), UnorderedElementsAre("length"));
}

// How much changed is the same number whatever the sizes: of lengths the factor, of words what
// grows with the share of new examples.
TEST(Detect, EffectsDoNotDependOnTheSizes) {
  for (const size_t size : {300, 1000, 5000}) {
    Random random(size);
    const auto effect = [&](const Change& change, const char* detector, const char* feature) {
      double sum = 0;
      for (int trial = 0; trial < 5; ++trial) {
        Sample reference = test::Draw(Usual(), size, random);
        Sample window = test::Draw(Usual(), size, random, change, Other());
        for (Sample* sample : {&reference, &window}) sample->embeddings.clear();
        sum += Find(DetectOk(reference, window), detector, feature).effect() / 5;
      }
      return sum;
    };
    EXPECT_NEAR(effect({}, "ks", "length"), 0, 0.04) << size;
    EXPECT_NEAR(effect({.length = 1.2}, "ks", "length"), 0.2, 0.04) << size;
    EXPECT_NEAR(effect({.length = 1.5}, "ks", "length"), 0.5, 0.06) << size;
    const double none = effect({}, "fisher", "vocabulary");
    const double tenth = effect({.new_share = 0.1}, "fisher", "vocabulary");
    const double fifth = effect({.new_share = 0.2}, "fisher", "vocabulary");
    EXPECT_LT(none, tenth / 1.5) << size;
    EXPECT_NEAR(tenth, 0.105, 0.02) << size;
    EXPECT_NEAR(fifth, 0.155, 0.02) << size;
  }
}

TEST(Detect, AFifthOfNewTopicsIsFoundByTheirWords) {
  Random random(12);
  Sample reference = test::Draw(Usual(), 600, random);
  reference.embeddings.clear();
  for (const double share : {0.2, 0.4}) {
    const Sample window = test::Draw(Usual(), 300, random, {.new_share = share}, Other());
    EXPECT_THAT(Drifted(DetectOk(reference, window)), ::testing::Contains("vocabulary")) << share;
  }
}

TEST(Detect, ASmallShiftOfEmbeddingsIsNoDriftAtAnySize) {
  double p = 1;
  for (const size_t size : {200, 1000, 4000}) {
    Random random(size);
    Sample reference, window;
    for (Sample* sample : {&reference, &window}) {
      const Sample drawn = test::Draw(Usual(), size, random);
      sample->embeddings = drawn.embeddings;
      sample->dimension = drawn.dimension;
    }
    // A quarter of a standard deviation in one of sixteen directions.
    for (size_t i = 0; i < window.embeddings.size(); i += 16) window.embeddings[i] += 0.25f;
    const auto results = DetectOk(reference, window);
    EXPECT_THAT(Drifted(results), ::testing::IsEmpty()) << size;
    p = Find(results, "domain_classifier", "embedding").p_value();
  }
  EXPECT_LT(p, 1e-6);
}

TEST(Detect, IsTheSameWithAnyNumberOfThreads) {
  Random random(4);
  const Sample reference = test::Draw(Usual(), 200, random);
  const Sample window = test::Draw(Usual(), 100, random);
  DetectOptions options;
  options.threads = 1;
  const auto one = DetectOk(reference, window, options);
  options.threads = 3;
  const auto three = DetectOk(reference, window, options);
  ASSERT_EQ(one.size(), three.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].SerializeAsString(), three[i].SerializeAsString());
  }
}

TEST(Detect, AColumnThatDwarfsTheOthersHidesNothing) {
  Random random(5);
  Sample reference = test::Draw(Usual(), 400, random);
  Sample window = test::Draw(Usual(), 400, random, {.new_share = 0.6}, Other());
  for (Sample* sample : {&reference, &window}) {
    for (size_t i = 3; i < sample->embeddings.size(); i += 16) {
      sample->embeddings[i] = static_cast<float>(1e4 + 1e3 * test::Normal(random));
    }
  }
  const auto results = DetectOk(reference, window);
  EXPECT_TRUE(Find(results, "mmd", "embedding").drifted());
  EXPECT_TRUE(Find(results, "domain_classifier", "embedding").drifted());
}

TEST(Detect, LeavesOutWhatIsMissingOrTooLittle) {
  Random random(6);
  Sample reference = test::Draw(Usual(), 300, random), window = test::Draw(Usual(), 40, random);
  window.entropies.clear();
  window.labelled_losses.clear();
  for (const auto& result : DetectOk(reference, window)) {
    EXPECT_NE(result.feature(), "embedding");  // fewer than 50
    EXPECT_NE(result.feature(), "entropy");
    EXPECT_NE(result.detector(), "quality");
  }
  EXPECT_THAT(DetectOk(reference, {}), ::testing::IsEmpty());
  EXPECT_THAT(DetectOk({}, window), ::testing::IsEmpty());
}

// What was trained on has a lower loss than anything new, so nothing stands in for what was held
// out.
TEST(Detect, ComparesNoLossWithFewerThanFiftyHeldOutExamples) {
  Random random(13);
  Sample reference = test::Draw(Usual(), 300, random);
  const Sample window = test::Draw(Usual(), 100, random);
  EXPECT_THAT(NotCompared(reference, window), ::testing::IsEmpty());
  for (std::vector<double>* losses :
       {&reference.losses, &reference.entropies, &reference.labelled_losses}) {
    losses->resize(49);
  }
  std::vector<std::string> features;
  for (const auto& result : DetectOk(reference, window)) features.push_back(result.feature());
  EXPECT_THAT(features, UnorderedElementsAre("embedding", "embedding", "length", "vocabulary",
                                             "category topic"));
  EXPECT_THAT(NotCompared(reference, window),
              ::testing::ElementsAre(
                  HasSubstr("loss, entropy: the reference has 49 validation examples, and fewer "
                            "than 50"),
                  HasSubstr("labelled loss: the reference has 49 validation examples")));
}

TEST(Detect, SaysWhichSampleIsTooSmall) {
  Random random(14);
  const Sample reference = test::Draw(Usual(), 300, random);
  Sample window = test::Draw(Usual(), 40, random);
  window.labelled_losses.clear();
  EXPECT_THAT(NotCompared(reference, window),
              ::testing::ElementsAre("embedding: the window has 40 examples, and fewer than 50 are "
                                     "not compared"));
}

TEST(Detect, RefusesEmbeddingsThatAreNone) {
  Random random(7);
  const Sample reference = test::Draw(Usual(), 60, random);
  Sample window = test::Draw(Usual(), 60, random);
  window.embeddings[16 * 7 + 3] = std::numeric_limits<float>::quiet_NaN();
  auto results = Detect(reference, window, {});
  ASSERT_FALSE(results.ok());
  EXPECT_EQ(results.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(results.status().message(), HasSubstr("the window's embedding of example 7 is not"));
  window.embeddings.assign(60 * 8, 0.5f);
  window.dimension = 8;
  EXPECT_THAT(Detect(reference, window, {}).status().message(),
              HasSubstr("have 16 numbers, the window's 8"));
  window.dimension = 7;
  EXPECT_THAT(Detect(reference, window, {}).status().message(), HasSubstr("no rows of 7"));
}

// Half of the false alarms are the sequential test's, so the others' level is lower with labels.
TEST(Detect, SharesTheFalseAlarmsWithTheTestOfQuality) {
  Random random(8);
  Sample reference = test::Draw(Usual(), 200, random), window = test::Draw(Usual(), 100, random);
  DetectOptions options;
  options.looks_per_week = 50;
  const auto labelled = DetectOk(reference, window, options);
  EXPECT_NEAR(Find(labelled, "quality", "labelled loss").level(), 0.05 / 2 / 50, 1e-12);
  window.labelled_losses.clear();
  const auto others = DetectOk(reference, window, options);
  EXPECT_GT(Find(others, "ks", "loss").level(), Find(labelled, "ks", "loss").level());
}

TEST(FindNew, IsEmptyWhereNothingIsNew) {
  Random random(9);
  const Sample reference = test::Draw(Usual(), 800, random);
  int groups = 0;
  for (int i = 0; i < 10; ++i) {
    groups += FindNew(reference, test::Draw(Usual(), 200, random), 1).empty() ? 0 : 1;
  }
  EXPECT_LE(groups, 1);
}

TEST(FindNew, GroupsWhatIsNewAndNamesItsWords) {
  Random random(10);
  const Sample reference = test::Draw(Usual(), 800, random);
  const Sample window = test::Draw(Usual(), 300, random, {.new_share = 0.2}, Other());
  const std::vector<v1::NewCluster> clusters = FindNew(reference, window, 1);
  ASSERT_EQ(clusters.size(), 2u);
  EXPECT_GE(clusters[0].examples(), clusters[1].examples());
  std::set<std::string> topics;
  for (const v1::NewCluster& cluster : clusters) {
    EXPECT_GT(cluster.distance(), 1);
    EXPECT_GE(cluster.examples(), 15u);
    EXPECT_EQ(cluster.sample_ids_size(), 5);
    EXPECT_EQ(cluster.samples_size(), 5);
    ASSERT_GE(cluster.words_size(), 1);
    for (const std::string& word : cluster.words()) {
      EXPECT_EQ(word.substr(0, 2), "of") << word;
      topics.insert(word.substr(0, 3));
    }
  }
  EXPECT_EQ(topics, (std::set<std::string>{"of5", "of6"}));
}

TEST(FindNew, NeedsAReference) {
  Random random(11);
  const Sample window = test::Draw(Usual(), 100, random);
  EXPECT_TRUE(FindNew({}, window, 1).empty());
  EXPECT_TRUE(FindNew(window, {}, 1).empty());
}

}  // namespace
}  // namespace attune::drift
