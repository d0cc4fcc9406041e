#include "tools/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/unit/cli/cli_runner.h"

namespace attune::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

bool Has(const char* program) {
  return std::system(("command -v " + std::string(program) + " >/dev/null 2>&1").c_str()) == 0;
}

// What bash offers for a command line whose last word is being typed.
std::string BashOffers(const std::string& words) {
  TemporaryFolder folder;
  std::string script =
      folder.Write("c.bash", CompletionScript("bash") + "COMP_WORDS=(" + words +
                                 ")\nCOMP_CWORD=$((${#COMP_WORDS[@]}-1))\n_attune\n"
                                 "printf '%s\\n' \"${COMPREPLY[@]}\"\n");
  std::string out;
  FILE* pipe = popen(("bash --norc " + script + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  EXPECT_EQ(pclose(pipe), 0) << out;
  return out;
}

TEST(Completion, BashOffersCommandsVerbsAndOptions) {
  EXPECT_EQ(BashOffers("attune jo"), "job\n");
  EXPECT_EQ(BashOffers("attune job su"), "submit\n");
  EXPECT_THAT(BashOffers("attune job submit --"), HasSubstr("--dry-run\n"));
  EXPECT_THAT(BashOffers("attune job submit --"), HasSubstr("--output\n"));
  EXPECT_THAT(BashOffers("attune model generate --"), Not(HasSubstr("--dry-run\n")));
}

TEST(Completion, BashOffersValues) {
  EXPECT_EQ(BashOffers("attune job list -o j"), "json\njsonl\n");
  EXPECT_EQ(BashOffers("attune job list --state q"), "queued\n");
  EXPECT_EQ(BashOffers("attune completion z"), "zsh\n");
  EXPECT_EQ(BashOffers("attune job explain train.ep"), "train.epochs\n");
  EXPECT_THAT(BashOffers("attune job submit docs/cl"), HasSubstr("docs/cli.md"));
}

TEST(Completion, OtherShellsAcceptTheirScripts) {
  TemporaryFolder folder;
  for (const char* shell : {"zsh", "fish"}) {
    std::string script = folder.Write(shell, CompletionScript(shell));
    EXPECT_THAT(CompletionScript(shell), HasSubstr("generate"));
    if (!Has(shell)) continue;
    EXPECT_EQ(std::system((std::string(shell) + " -n " + script).c_str()), 0) << shell;
  }
}

}  // namespace
}  // namespace attune::cli
