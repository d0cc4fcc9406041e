#include <gtest/gtest.h>

#include "common/base/files.h"
#include "tools/cli/help.h"

namespace attune::cli {
namespace {

TEST(CliPage, IsUpToDate) {
  auto page = ReadFile("docs/cli.md");
  ASSERT_TRUE(page.ok()) << page.status().message();
  EXPECT_EQ(*page, HelpMarkdown()) << "run: attune help --markdown > docs/cli.md";
}

}  // namespace
}  // namespace attune::cli
