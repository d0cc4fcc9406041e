#include "tools/cli/table.h"

#include <gtest/gtest.h>

#include "tools/cli/format.h"

namespace attune::cli {
namespace {

Table MakeTable() {
  Table table({{.header = "ID"},
               {.header = "NAME", .shrinks = true},
               {.header = "STEP", .right = true},
               {.header = "REASON", .shrinks = true, .optional = true}});
  table.Add({"job-1", "short", "5", "because of a very long sentence that does not fit anywhere"});
  table.Add({"job-22", "a name that is quite long indeed", "1000", ""});
  return table;
}

TEST(Table, AlignsColumns) {
  Table table({{.header = "A"}, {.header = "N", .right = true}, {.header = "B"}});
  table.Add({"x", "5", "y"});
  table.Add({"long", "10", ""});
  EXPECT_EQ(table.Render(0, false), "A      N  B\nx      5  y\nlong  10\n");
}

TEST(Table, FitsTheTerminal) {
  for (size_t width : {40u, 60u, 80u, 120u}) {
    std::string text = MakeTable().Render(width, false);
    for (size_t start = 0, end; (end = text.find('\n', start)) != std::string::npos;
         start = end + 1) {
      EXPECT_LE(DisplayWidth(text.substr(start, end - start)), width) << text;
    }
    EXPECT_NE(text.find("job-22"), std::string::npos);
  }
}

TEST(Table, NotATerminalIsNeverCut) {
  EXPECT_NE(MakeTable().Render(0, false).find("does not fit anywhere"), std::string::npos);
}

TEST(Table, ColorDoesNotChangeTheLayout) {
  Table table({{.header = "A"}, {.header = "B"}});
  table.Add({{"x", Style::kRed}, "y"});
  EXPECT_EQ(table.Render(0, true), "\033[2mA\033[0m  \033[2mB\033[0m\n\033[31mx\033[0m  y\n");
}

}  // namespace
}  // namespace attune::cli
