#include "common/base/version.h"
#include "common/yaml/nearest.h"
#include "tools/cli/completion.h"
#include "tools/cli/handlers.h"
#include "tools/cli/help.h"

namespace attune::cli {

Result<int> RunVersion(Session& session, const Arguments&) {
  nlohmann::ordered_json json = {{"version", kVersion}};
  session.printer().Object(json, kVersion, "attune " + std::string(kVersion) + "\n");
  return kExitOk;
}

Result<int> RunCompletion(Session& session, const Arguments& arguments) {
  session.printer().out() << CompletionScript(arguments.Get("SHELL"));
  return kExitOk;
}

Result<int> RunHelp(Session& session, const Arguments& arguments) {
  std::ostream& out = session.printer().out();
  if (arguments.Has("--markdown")) {
    out << HelpMarkdown();
    return kExitOk;
  }
  size_t width = static_cast<size_t>(session.io().width());
  const auto& words = arguments.All("COMMAND");
  const Command* command = nullptr;
  std::string noun;
  for (const Noun& other : Nouns()) {
    if (words.size() == 1 && other.name == words[0]) noun = other.name;
  }
  if (words.size() == 1) command = FindCommand("", words[0]);
  if (words.size() == 2) command = FindCommand(words[0], words[1]);
  if (!words.empty() && command == nullptr && noun.empty()) {
    std::string name = words[0] + (words.size() > 1 ? " " + words[1] : "");
    std::vector<std::string> known;
    for (const Command& other : Commands()) known.push_back(other.Name());
    std::string nearest = yaml::Nearest(name, known);
    return InvalidArgument(
        "unknown command '" + name + "'" +
        (nearest.empty() ? "; `attune help` lists all" : "; did you mean '" + nearest + "'?"));
  }
  out << HelpText(command, noun, width);
  return kExitOk;
}

}  // namespace attune::cli
