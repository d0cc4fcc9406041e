#include "coordinator/curation/words.h"

#include <gmock/gmock.h>

#include <string>

namespace attune::curation {
namespace {

std::vector<uint64_t> Words(std::string_view text) {
  std::vector<uint64_t> words;
  AppendWordHashes(text, &words);
  return words;
}

TEST(AppendWordHashes, LeavesCasePunctuationAndSpaceOut) {
  EXPECT_EQ(Words("Hello, World!"), Words("hello   world"));
  EXPECT_EQ(Words("«Straße» – ÄÖÜ"), Words("straße äöü"));
  EXPECT_EQ(Words("ΑΒΓ Ещё Ёж"), Words("αβγ ещё ёж"));
  EXPECT_EQ(Words("don't").size(), 2u);
  EXPECT_EQ(Words("").size(), 0u);
  EXPECT_EQ(Words(" .,;!?()[]{}\n").size(), 0u);
}

TEST(AppendWordHashes, TellsNumbersIdentifiersAndOperatorsApart) {
  EXPECT_NE(Words("What is 17 plus 4?"), Words("What is 18 plus 4?"));
  EXPECT_EQ(Words("a_b = c+1;").size(), 5u);
  EXPECT_NE(Words("a - b"), Words("a + b"));
  EXPECT_NE(Words("ab c"), Words("a bc"));
}

TEST(AppendWordHashes, TakesACharacterOfAScriptWithoutSpacesForAWord) {
  EXPECT_EQ(Words("我喜欢机器学习。").size(), 7u);
  EXPECT_EQ(Words("ภาษา").size(), 4u);
  EXPECT_EQ(Words("한국어 공부").size(), 2u);  // Korean has spaces
  EXPECT_EQ(Words("ok👍👍").size(), 3u);
}

TEST(AppendWordHashes, TakesAnyBytes) {
  EXPECT_EQ(Words("a\xff\xfe"
                  "b")
                .size(),
            2u);
  EXPECT_EQ(Words("a\xe6\x88").size(), 1u);  // cut off
  EXPECT_EQ(Words("a\xf8\x88\x88\x88\x88").size(), 1u);
}

TEST(RollingHash, IsThatOfTheWordsAlone) {
  const std::vector<uint64_t> words = Words("one two three four five six seven");
  RollingHash rolled(3), direct(3);
  for (size_t i = 0; i < words.size(); ++i) {
    rolled.Push(words[i]);
    if (i >= 3) rolled.Pop(words[i - 3]);
  }
  for (size_t i = words.size() - 3; i < words.size(); ++i) direct.Push(words[i]);
  EXPECT_EQ(rolled.Get(3), direct.Get(3));
  EXPECT_NE(rolled.Get(3), rolled.Get(4));
}

}  // namespace
}  // namespace attune::curation
