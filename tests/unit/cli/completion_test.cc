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

// What a command prints; it must succeed.
std::string OutputOf(const std::string& command) {
  std::string out;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << out;
  return out;
}

// What bash offers for a command line whose last word is being typed.
std::string BashOffers(const std::string& words) {
  TemporaryFolder folder;
  std::string script =
      folder.Write("c.bash", CompletionScript("bash") + "COMP_WORDS=(" + words +
                                 ")\nCOMP_CWORD=$((${#COMP_WORDS[@]}-1))\n_attune\n"
                                 "printf '%s\\n' \"${COMPREPLY[@]}\"\n");
  return OutputOf("bash --norc " + script);
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

// Types lines, with tabs, into an interactive zsh whose `attune` prints its arguments.
std::string ZshMakesOf(const std::string& lines) {
  TemporaryFolder folder;
  std::string script = folder.Write("_attune.zsh", CompletionScript("zsh"));
  std::string typist = folder.Write("type.zsh", R"(
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "autoload -Uz compinit; compinit -D -u; source $1"
zpty -w shell 'attune() { print -r "G""OT:$*:E""ND" }; PS1=REA""DY'
zpty -r shell out '*READY'
for line in ${(f)2}; do
  zpty -n -w shell "attune $line"$'\n'
  zpty -r shell out '*GOT:*:END*READY'
  print -r -- ${${out##*GOT:}%%:END*}
done
)");
  return OutputOf("timeout 60 zsh -f " + typist + " " + script + " '" + lines + "'");
}

TEST(Completion, ZshCompletesWhatIsTyped) {
  EXPECT_EQ(ZshMakesOf("jo\tsu\t--dr\t\njob list -o t\t\njob list --sta\tq\t\ncompletion f\t\n"
                       "job explain train.ep\t\njob submit docs/cl\t\n"),
            "job submit --dry-run\njob list -o table\njob list --state queued\ncompletion fish\n"
            "job explain train.epochs\njob submit docs/cli.md\n");
}

// What fish offers for a line, without the descriptions.
std::string FishOffers(const std::string& line) {
  TemporaryFolder folder;
  std::string script = folder.Write("attune.fish", CompletionScript("fish"));
  return OutputOf("fish --no-config -c \"source " + script +
                  "; function attune; end; complete -C '" + line + "'\" | cut -f 1");
}

TEST(Completion, FishOffersCommandsOptionsAndValues) {
  EXPECT_EQ(FishOffers("attune jo"), "job\n");
  EXPECT_EQ(FishOffers("attune job su"), "submit\n");
  EXPECT_EQ(FishOffers("attune job submit --dr"), "--dry-run\n");
  EXPECT_EQ(FishOffers("attune model export --dr"), "");
  EXPECT_EQ(FishOffers("attune job list -o j"), "json\njsonl\n");
  EXPECT_EQ(FishOffers("attune job list --state q"), "queued\n");
  EXPECT_EQ(FishOffers("attune completion z"), "zsh\n");
  EXPECT_EQ(FishOffers("attune job explain train.ep"), "train.epochs\n");
  EXPECT_EQ(FishOffers("attune job submit docs/cl"), "docs/cli.md\n");
}

}  // namespace
}  // namespace attune::cli
