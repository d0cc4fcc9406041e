#include "coordinator/drift/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/drift/detect.h"

namespace attune::drift {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(DistinctWords, AreRunsOfLettersAndDigitsInLowerCase) {
  EXPECT_THAT(DistinctWords("Read the FILE, read_the file2!"),
              ElementsAre("file", "file2", "read", "the"));
  EXPECT_THAT(DistinctWords(" .,;!"), IsEmpty());
}

TEST(DistinctWords, OfOtherScripts) {
  EXPECT_THAT(DistinctWords("straße “größer”"), ElementsAre("größer", "straße"));
  EXPECT_THAT(DistinctWords("東京。"), ElementsAre("京", "東"));
  EXPECT_THAT(DistinctWords("a\xff\xe2\x82"), ElementsAre("a"));
}

TEST(AddText, CountsAWordOnceForAnExample) {
  Sample sample;
  AddText("a b a", &sample);
  AddText("b c", &sample);
  EXPECT_THAT(sample.words, ElementsAre(Pair("a", 1), Pair("b", 2), Pair("c", 1)));
}

}  // namespace
}  // namespace attune::drift
