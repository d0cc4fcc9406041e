#include "common/base/glob.h"

#include <gtest/gtest.h>

namespace attune {
namespace {

TEST(Glob, MatchesAsShellsDo) {
  const struct {
    const char* pattern;
    const char* path;
    bool matches;
  } kCases[] = {
      {"a.jsonl", "a.jsonl", true},
      {"*.jsonl", "a.jsonl", true},
      {"*.jsonl", "b/a.jsonl", false},
      {"*/a.jsonl", "b/a.jsonl", true},
      {"**/a.jsonl", "a.jsonl", true},
      {"**/a.jsonl", "b/c/a.jsonl", true},
      {"b/**", "b/c/a.jsonl", true},
      {"b/**/*.csv", "b/a.jsonl", false},
      {"**", "b/.hidden/a", false},
      {"*", ".hidden", false},
      {".*", ".hidden", true},
      {"a?c", "abc", true},
      {"a?c", "a/c", false},
      {"part-[0-9][0-9].csv", "part-07.csv", true},
      {"part-[!0-9].csv", "part-7.csv", false},
      {"part-[]x].csv", "part-].csv", true},
      {"part-[7.csv", "part-[7.csv", true},
      {"*a*b*c", "xxaxxbxxbxxc", true},
      {"*a*b*c", "xxaxxcxxb", false},
      {"", "", true},
      {"/data/*", "/data/a", true},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(MatchesGlob(c.pattern, c.path), c.matches) << c.pattern << " " << c.path;
  }
}

TEST(Glob, APatternOfManyStarsIsQuick) {
  std::string pattern, name(2000, 'a');
  for (int i = 0; i < 500; ++i) pattern += "*a";
  EXPECT_FALSE(MatchesGlob(pattern + "b", name));
  std::string folders, path;
  for (int i = 0; i < 200; ++i) folders += "**/", path += "a/";
  EXPECT_FALSE(MatchesGlob(folders + "b", path + "a"));
}

TEST(Glob, FolderIsWhatStandsBeforeTheFirstWildcard) {
  EXPECT_EQ(GlobFolder("a/b/*.jsonl"), "a/b");
  EXPECT_EQ(GlobFolder("a/b*/c"), "a");
  EXPECT_EQ(GlobFolder("*.jsonl"), "");
  EXPECT_EQ(GlobFolder("/*.jsonl"), "/");
  EXPECT_TRUE(HasGlob("a[b"));
  EXPECT_FALSE(HasGlob("a/b.jsonl"));
}

}  // namespace
}  // namespace attune
