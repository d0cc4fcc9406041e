#include "common/base/utf8.h"

#include <gtest/gtest.h>

namespace attune {
namespace {

const std::string kBad = "\xef\xbf\xbd";

TEST(ToValidUtf8, KeepsWhatIsWellFormed) {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf\n";
  EXPECT_EQ(ToValidUtf8(text), text);
  EXPECT_EQ(ToValidUtf8(""), "");
}

TEST(ToValidUtf8, ReplacesEachBadByte) {
  EXPECT_EQ(ToValidUtf8("a\xff"), "a" + kBad);
  EXPECT_EQ(ToValidUtf8("\xc3"), kBad);                                   // cut
  EXPECT_EQ(ToValidUtf8("\xc0\xaf"), kBad + kBad);                        // overlong
  EXPECT_EQ(ToValidUtf8("\xe0\x80\xaf"), kBad + kBad + kBad);             // overlong
  EXPECT_EQ(ToValidUtf8("\xed\xa0\x80"), kBad + kBad + kBad);             // surrogate
  EXPECT_EQ(ToValidUtf8("\xf4\x90\x80\x80"), kBad + kBad + kBad + kBad);  // above U+10FFFF
  EXPECT_EQ(ToValidUtf8("\x80 b"), kBad + " b");
  EXPECT_EQ(ToValidUtf8(std::string("\0x", 2)), kBad + "x");
}

TEST(Shorten, CutsBetweenCharacters) {
  EXPECT_EQ(Shorten("abc", 3), "abc");
  EXPECT_EQ(Shorten("abcd", 3), "abc...");
  EXPECT_EQ(Shorten("a\xe2\x82\xac!", 4), "a\xe2\x82\xac...");
  EXPECT_EQ(Shorten("a\xe2\x82\xac!", 3), "a...");
  EXPECT_EQ(Shorten("\xf0\x9f\x98\x80", 3), "...");
}

}  // namespace
}  // namespace attune
