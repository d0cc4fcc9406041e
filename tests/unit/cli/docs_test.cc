#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <sstream>

#include "common/base/files.h"
#include "tools/cli/command.h"
#include "tools/cli/help.h"

namespace attune::cli {
namespace {

TEST(CliPage, IsUpToDate) {
  auto page = ReadFile("docs/cli.md");
  ASSERT_TRUE(page.ok()) << page.status().message();
  EXPECT_EQ(*page, HelpMarkdown()) << "run: attune help --markdown > docs/cli.md";
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> words;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, separator);) words.push_back(word);
  return words;
}

bool IsPlaceholder(const std::string& word) {
  return std::isupper(static_cast<unsigned char>(word[0])) != 0;
}

bool IsNoun(const std::string& word) {
  return std::any_of(Nouns().begin(), Nouns().end(),
                     [&](const Noun& noun) { return noun.name == word; });
}

bool HasOption(const Command& command, const std::string& name) {
  for (const auto& options : {command.options, GlobalOptions()}) {
    for (const Parameter& option : options) {
      if (option.name == name || option.short_name == name) return true;
    }
  }
  return false;
}

// "" or what of the words after `attune` is not in the command table. In running text arguments may
// be missing, and a|b stands for both.
std::string Unknown(const std::vector<std::string>& words) {
  if (words.empty() || IsPlaceholder(words[0])) return "";
  for (const std::string& first : Split(words[0], '|')) {
    const bool noun = IsNoun(first);
    if (noun && words.size() < 2) continue;
    const Command* command = noun ? FindCommand(first, words[1]) : FindCommand("", first);
    if (command == nullptr) return "command " + first + (noun ? " " + words[1] : "");
    for (const std::string& word : words) {
      std::string name = word.substr(0, word.find('='));
      if (name.starts_with("-") && name != "-" && !HasOption(*command, name))
        return "option " + name + " of " + command->Name();
    }
  }
  return "";
}

TEST(Pages, NameOnlyCommandsAndOptionsThatThereAre) {
  EXPECT_EQ(Unknown({"job", "shwo"}), "command job shwo");
  EXPECT_EQ(Unknown({"job", "logs", "--folow"}), "option --folow of job logs");
  const std::regex span("`attune ([^`]+)`");
  int count = 0;
  for (const char* file : {"README.md", "CONTRIBUTING.md", "deploy/README.md", "docs/design.md",
                           "docs/operations.md", "docs/job-spec.md", "docs/cli.md"}) {
    std::string page = std::regex_replace(*ReadFile(file), std::regex("[\\[\\]]"), "");
    for (std::sregex_iterator it(page.begin(), page.end(), span), end; it != end; ++it, ++count)
      EXPECT_EQ(Unknown(Split((*it)[1], ' ')), "") << file << ": " << it->str();
  }
  EXPECT_GE(count, 20);
}

}  // namespace
}  // namespace attune::cli
