#include "tools/cli/format.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tools/cli/plot.h"

namespace attune::cli {
namespace {

TEST(Format, Amounts) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(1023.9 * 1024), "1 MiB");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(134515008), "135M");
  EXPECT_EQ(FormatCount(12345), "12.3k");
  EXPECT_EQ(FormatRate(87.25), "87.2");
  EXPECT_EQ(FormatRate(1234), "1.23k");
}

TEST(Format, Times) {
  EXPECT_EQ(FormatSeconds(0.25), "0.3s");
  EXPECT_EQ(FormatSeconds(59.6), "1m00s");
  EXPECT_EQ(FormatSeconds(80), "1m20s");
  EXPECT_EQ(FormatSeconds(3 * 3600 + 5 * 60), "3h05m");
  EXPECT_EQ(FormatSeconds(2 * 86400 + 4 * 3600), "2d4h");
  EXPECT_EQ(FormatSeconds(-1), "?");
}

TEST(Format, FitCutsCharactersNotBytes) {
  EXPECT_EQ(Fit("häuser", 6), "häuser");
  EXPECT_EQ(Fit("häuser", 4), "häu…");
  EXPECT_EQ(Fit("x", 0), "");
}

TEST(Bar, HasItsWidthWhateverTheShare) {
  for (double share : {-1.0, 0.0, 0.33, 0.999, 1.0, 7.0})
    EXPECT_EQ(DisplayWidth(Bar(share, 10, true)), 10u) << share;
  EXPECT_EQ(Bar(0.5, 10, false), "[#####-----]");
}

TEST(Sparkline, ShowsTheShape) {
  EXPECT_EQ(Sparkline({1, 2, 3, 4}, 4), "▁▃▆█");
  EXPECT_EQ(Sparkline({5, 5}, 4), "▁▁");
  EXPECT_EQ(Sparkline({}, 4), "");
}

TEST(Plot, StaysInsideAndSkipsNonNumbers) {
  std::string plot = Plot({{1, 3}, {2, NAN}, {3, 1}}, {{3, 2}}, 40, 5);
  EXPECT_NE(plot.find("3.0000 │"), std::string::npos) << plot;
  EXPECT_NE(plot.find("●"), std::string::npos);
  for (size_t start = 0, end; (end = plot.find('\n', start)) != std::string::npos;
       start = end + 1) {
    EXPECT_LE(DisplayWidth(plot.substr(start, end - start)), 40u);
  }
  EXPECT_EQ(Plot({}, {}, 40, 5), "");
  EXPECT_NE(Plot({{1, 1}}, {}, 40, 5), "");
}

}  // namespace
}  // namespace attune::cli
