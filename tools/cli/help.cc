#include "tools/cli/help.h"

#include <algorithm>

#include "tools/cli/format.h"

namespace attune::cli {
namespace {

constexpr size_t kWidest = 100;

std::string Wrap(std::string_view text, size_t width, const std::string& indent) {
  std::string out, line;
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    std::string word(text.substr(0, end));
    if (!line.empty() && indent.size() + DisplayWidth(line) + 1 + DisplayWidth(word) > width) {
      out += indent + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out + indent + line + "\n";
}

// "-o, --output FORMAT" or "FILES...".
std::string Spelled(const Parameter& parameter) {
  std::string out = parameter.short_name.empty() ? "" : parameter.short_name + ", ";
  out += parameter.name;
  if (!parameter.value.empty()) out += " " + parameter.value;
  return out;
}

std::string DocOf(const Parameter& parameter) {
  std::string out = parameter.doc;
  if (!parameter.words.empty()) {
    std::string words;
    for (const std::string& word : parameter.words) words += (words.empty() ? "" : ", ") + word;
    out += " One of: " + words + ".";
  }
  if (parameter.repeated && parameter.name[0] == '-') out += " May be given several times.";
  if (!parameter.fallback.empty()) out += " Default: " + parameter.fallback + ".";
  return out;
}

std::string UsageLine(const Command& command) {
  std::string out = "attune " + command.Name();
  for (const Parameter& argument : command.arguments) {
    std::string name = argument.name + (argument.repeated ? "..." : "");
    out += argument.required ? " " + name : " [" + name + "]";
  }
  return out + (command.options.empty() ? "" : " [OPTIONS]");
}

// Two columns: the spelling, then what it does, wrapped.
std::string Rows(const std::vector<std::pair<std::string, std::string>>& rows, size_t width) {
  size_t left = 0;
  for (const auto& [name, doc] : rows) left = std::max(left, name.size());
  left = std::min<size_t>(left, 28);
  std::string out, indent(left + 4, ' ');
  for (const auto& [name, doc] : rows) {
    std::string text = Wrap(doc, width, indent);
    std::string head = "  " + name;
    if (name.size() > left) {
      out += head + "\n" + text;
    } else {
      out += head + text.substr(head.size());
    }
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> RowsOf(const std::vector<Parameter>& parameters) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Parameter& parameter : parameters)
    rows.emplace_back(Spelled(parameter), DocOf(parameter));
  return rows;
}

std::string CommandHelp(const Command& command, size_t width) {
  std::string summary = command.summary;
  summary[0] = static_cast<char>(std::toupper(summary[0]));
  std::string out = Wrap(summary + ".", width, "") + "\n";
  if (!command.details.empty()) out += Wrap(command.details, width, "") + "\n";
  out += "Usage: " + UsageLine(command) + "\n";
  if (!command.arguments.empty()) out += "\nArguments:\n" + Rows(RowsOf(command.arguments), width);
  if (!command.options.empty()) out += "\nOptions:\n" + Rows(RowsOf(command.options), width);
  if (!command.examples.empty()) {
    out += "\nExamples:\n";
    for (const std::string& example : command.examples) out += "  " + example + "\n";
  }
  return out + "\nOptions of every command are shown by `attune --help`.\n";
}

std::string GroupHelp(const std::string& noun, size_t width) {
  std::string out, title;
  for (const Noun& other : Nouns()) {
    if (other.name == noun) title = other.summary;
  }
  title[0] = static_cast<char>(std::toupper(title[0]));
  out = title + ".\n\nUsage: attune " + noun + " VERB [ARGUMENTS] [OPTIONS]\n\nVerbs:\n";
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Command& command : Commands()) {
    if (command.noun == noun) rows.emplace_back(command.verb, command.summary);
  }
  return out + Rows(rows, width) + "\n`attune " + noun + " VERB --help` says more about one.\n";
}

std::string TopHelp(size_t width) {
  std::string out =
      "Attune fine-tunes language models over many trainer processes.\n\n"
      "Usage: attune COMMAND [ARGUMENTS] [OPTIONS]\n\nA cluster on this machine:\n";
  std::vector<std::pair<std::string, std::string>> rows;
  for (const char* verb : {"up", "down", "status", "doctor"}) {
    rows.emplace_back(verb, FindCommand("", verb)->summary);
  }
  out += Rows(rows, width) + "\nWork:\n";
  rows.clear();
  for (const Noun& noun : Nouns()) {
    for (const Command& command : Commands()) {
      if (command.noun == noun.name) rows.emplace_back(command.Name(), command.summary);
    }
  }
  out += Rows(rows, width) + "\nMore:\n";
  rows.clear();
  for (const char* verb : {"help", "completion", "version"}) {
    rows.emplace_back(verb, FindCommand("", verb)->summary);
  }
  out += Rows(rows, width) + "\nOptions of every command:\n" + Rows(RowsOf(GlobalOptions()), width);
  return out + "\n`attune COMMAND --help` says more about one.\n";
}

std::string Escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += '\\';
    if (c == '<') {
      out += "&lt;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string MarkdownTable(const std::vector<Parameter>& parameters, const char* title) {
  if (parameters.empty()) return "";
  std::string out = std::string("\n| ") + title + " | meaning |\n|---|---|\n";
  for (const Parameter& parameter : parameters) {
    out += "| `" + Spelled(parameter) + "` | " + Escaped(DocOf(parameter)) + " |\n";
  }
  return out;
}

std::string CommandMarkdown(const Command& command) {
  std::string summary = command.summary;
  summary[0] = static_cast<char>(std::toupper(summary[0]));
  std::string out = "\n## attune " + command.Name() + "\n\n" + summary + ".";
  if (!command.details.empty()) out += " " + command.details;
  out += "\n\n```sh\n" + UsageLine(command) + "\n```\n";
  out += MarkdownTable(command.arguments, "argument");
  out += MarkdownTable(command.options, "option");
  if (!command.examples.empty()) {
    out += "\n```sh\n";
    for (const std::string& example : command.examples) out += example + "\n";
    out += "```\n";
  }
  return out;
}

constexpr char kIntroduction[] = R"(# The command line

<!-- Generated from tools/cli/commands.cc by `attune help --markdown`; do not edit. -->

`attune NOUN VERB`. Data goes to standard output, messages and progress to standard error. `-o` picks the form
of the data: `table` for people; `json`, `jsonl` (an object per line) and `yaml` have the protocol's field names,
numbers as numbers, times as RFC 3339, and never change meaning; `name` is the id or `name@version`, a line each.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed (also: a watched job failed or was cancelled) |
| 2 | usage, or an invalid spec or input |
| 3 | not found |
| 4 | denied |
| 5 | conflict with what is there, or not possible in this state |
| 6 | the coordinator is unavailable; try again |
| 130 | interrupted; a watched job goes on |

Where the coordinator is: flags, then `ATTUNE_*` variables, then the current context of
`~/.config/attune/config.yaml` (another file: `ATTUNE_CONFIG`), then the cluster that `attune up` started in
`$ATTUNE_HOME`, then `127.0.0.1:7070`:

```yaml
current: lab
contexts:
  lab: {address: "lab.example.org:7070", ca: ca.pem, token_file: token}   # also cert, key
```

## Options of every command
)";

}  // namespace

std::string HelpText(const Command* command, const std::string& noun, size_t width) {
  width = std::min(width, kWidest);
  if (command != nullptr) return CommandHelp(*command, width);
  return noun.empty() ? TopHelp(width) : GroupHelp(noun, width);
}

std::string HelpMarkdown() {
  std::string out = kIntroduction + MarkdownTable(GlobalOptions(), "option");
  for (const Command& command : Commands()) out += CommandMarkdown(command);
  return out;
}

}  // namespace attune::cli
