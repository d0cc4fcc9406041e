#include "coordinator/curation/contamination.h"

#include <gmock/gmock.h>

#include <string>

namespace attune::curation {
namespace {

std::string Numbered(const std::string& word, int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += word + std::to_string(i) + " ";
  return text;
}

TEST(EvaluationRuns, FindsARunOfThirteenWords) {
  EvaluationRuns runs;
  ASSERT_TRUE(runs.Add(Numbered("other", 0, 40)).ok());
  ASSERT_TRUE(runs.Add(Numbered("word", 0, 40)).ok());
  EXPECT_EQ(runs.examples(), 2u);
  EXPECT_EQ(runs.Find("Before it: " + Numbered("WORD", 10, 23) + "!"), 1u);
  EXPECT_EQ(runs.Find("Before it: " + Numbered("word", 10, 22)), std::nullopt);
  EXPECT_EQ(runs.Find(""), std::nullopt);
}

TEST(EvaluationRuns, FindsShorterExamplesWhole) {
  EvaluationRuns runs;
  ASSERT_TRUE(runs.Add("What is the capital of the Kingdom of Denmark?").ok());  // 9 words
  ASSERT_TRUE(runs.Add("2 plus 2? 4").ok());
  EXPECT_EQ(runs.Find("Q: what is the capital of the kingdom of Denmark - A: Copenhagen"), 0u);
  EXPECT_EQ(runs.Find("What is the capital of the Kingdom of Sweden?"), std::nullopt);
  EXPECT_EQ(runs.Find("2 PLUS 2: 4!"), 1u);
  EXPECT_EQ(runs.Find("he said 2 plus 2? 4"), std::nullopt);
}

TEST(EvaluationRuns, LeavesTemplatesOut) {
  EvaluationRuns runs;
  const std::string rules = Numbered("rule", 0, 20);
  for (int i = 0; i < 11; ++i)
    ASSERT_TRUE(runs.Add(rules + Numbered("q" + std::to_string(i) + "x", 0, 20)).ok());
  EXPECT_EQ(runs.Find(rules + "something else"), std::nullopt);
  EXPECT_EQ(runs.Find(rules + Numbered("q4x", 0, 20)), 4u);
  // A run that one example repeats is no template.
  EvaluationRuns repeated;
  std::string text;
  for (int i = 0; i < 20; ++i) text += Numbered("again", 0, 13);
  ASSERT_TRUE(repeated.Add(text).ok());
  EXPECT_EQ(repeated.Find(Numbered("again", 0, 13)), 0u);
}

TEST(EvaluationRuns, KeepsAllOfManyExamples) {
  EvaluationRuns runs;
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(runs.Add(Numbered("e" + std::to_string(i) + "w", 0, 20)).ok());
  }
  for (uint32_t i = 0; i < 2000; ++i) {
    ASSERT_EQ(runs.Find("x " + Numbered("e" + std::to_string(i) + "w", 5, 18)), i);
  }
  EXPECT_EQ(EvaluationRuns().Find(Numbered("e1w", 0, 20)), std::nullopt);
}

}  // namespace
}  // namespace attune::curation
