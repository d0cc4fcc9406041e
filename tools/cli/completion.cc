#include "tools/cli/completion.h"

#include <set>

#include "common/spec/schema.h"
#include "tools/cli/command.h"

namespace attune::cli {
namespace {

std::string Joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// A shell command that prints the candidates, one a line, or "" where files are meant or nothing
// is.
std::string Lister(const Parameter& parameter) {
  if (!parameter.words.empty()) return "printf '%s\\n' " + Joined(parameter.words);
  switch (parameter.completes) {
    case Completes::kJob:
      return "attune job list -q -o name --timeout 1s 2>/dev/null";
    case Completes::kDataset:
      return "attune dataset list -q -o name --timeout 1s 2>/dev/null";
    case Completes::kModel:
      return "attune model list -q -o name --timeout 1s 2>/dev/null; "
             "attune model aliases -q -o name --timeout 1s 2>/dev/null";
    case Completes::kModelName:
      return "attune model list -q -o name --timeout 1s 2>/dev/null | cut -d @ -f 1";
    case Completes::kAlias:
      return "printf '%s\\n' champion challenger shadow";
    case Completes::kStream:
      return "attune drift list -q -o name --timeout 1s 2>/dev/null";
    case Completes::kSpecKey: {
      std::vector<std::string> keys;
      for (const auto& field : spec::Schema()) keys.emplace_back(field.path);
      return "printf '%s\\n' " + Joined(keys);
    }
    default:
      return "";
  }
}

bool TakesFiles(const Parameter& parameter) {
  return parameter.completes == Completes::kFile || parameter.completes == Completes::kFolder;
}

std::vector<std::string> Verbs(const std::string& noun) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const Command& command : Commands()) {
    if (!noun.empty() && command.noun != noun) continue;
    const std::string& word = noun.empty() && !command.noun.empty() ? command.noun : command.verb;
    if (seen.insert(word).second) out.push_back(word);
  }
  return out;
}

std::vector<std::string> OptionNames(const std::vector<Parameter>& options) {
  std::vector<std::string> out;
  for (const Parameter& option : options) {
    out.push_back(option.name);
    if (!option.short_name.empty()) out.push_back(option.short_name);
  }
  return out;
}

// `case` arms that say what follows an option, for one list of options. prefix: "job submit" or
// "*".
std::string ValueArms(const std::string& prefix, const std::vector<Parameter>& options) {
  std::string out;
  for (const Parameter& option : options) {
    if (option.value.empty()) continue;
    std::string pattern = "\"" + prefix + " " + option.name + "\"";
    if (prefix == "*") pattern = "*\" " + option.name + "\"";
    if (!option.short_name.empty()) {
      pattern += prefix == "*" ? "|*\" " + option.short_name + "\""
                               : "|\"" + prefix + " " + option.short_name + "\"";
    }
    std::string lister = Lister(option);
    std::string action = TakesFiles(option) ? "files=1"
                         : lister.empty()   ? ":"
                                            : "offers=$(" + lister + ")";
    out += "      " + pattern + ") " + action + "; return ;;\n";
  }
  return out;
}

// A function for bash and zsh: from the words before the cursor it sets `offers` or `files`.
std::string SharedFunction() {
  std::string out =
      "# Sets offers (candidates, one a line) or files=1 from: the word before, then the words so "
      "far.\n"
      "_attune_candidates() {\n"
      "  local previous=\"$1\" current=\"$2\" command=\"\" word skip=\"\"; shift 2\n"
      "  offers=\"\" files=\"\"\n"
      "  for word in \"$@\"; do\n"
      "    case \"$word\" in -*) ;; *) command=\"${command:+$command }$word\" ;; esac\n"
      "  done\n";
  std::string nouns;
  for (const Noun& noun : Nouns()) nouns += (nouns.empty() ? "" : "|") + noun.name;
  out +=
      "  local noun=\"${command%% *}\" key=\"\"\n"
      "  case \"$noun\" in\n"
      "    " +
      nouns +
      ") word=\"${command#* }\"; [ \"$word\" = \"$command\" ] && word=\"\"; key=\"$noun ${word%% "
      "*}\" ;;\n"
      "    *) key=\"$noun\" ;;\n"
      "  esac\n"
      "  if [ -n \"$previous\" ]; then\n"
      "    case \"$key $previous\" in\n";
  for (const Command& command : Commands()) out += ValueArms(command.Name(), command.options);
  out += ValueArms("*", GlobalOptions());
  out +=
      "    esac\n  fi\n"
      "  case \"$current\" in\n    -*) case \"$key\" in\n";
  std::string globals = Joined(OptionNames(GlobalOptions())) + " --help";
  for (const Command& command : Commands()) {
    out += "      \"" + command.Name() + "\") offers=\"" + Joined(OptionNames(command.options)) +
           " " + globals + "\" ;;\n";
  }
  out += "      *) offers=\"" + globals +
         "\" ;;\n    esac; offers=$(printf '%s\\n' \"$offers\" | tr ' ' '\\n'); return ;;\n  esac\n"
         "  case \"$key\" in\n    \"\") offers=\"" +
         Joined(Verbs("")) + "\" ;;\n";
  for (const Noun& noun : Nouns()) {
    out += "    \"" + noun.name + " \") offers=\"" + Joined(Verbs(noun.name)) + "\" ;;\n";
  }
  for (const Command& command : Commands()) {
    std::string action;
    for (const Parameter& argument : command.arguments) {
      if (TakesFiles(argument)) action += "files=1; ";
      std::string lister = Lister(argument);
      if (!lister.empty()) action += "offers=$(" + lister + "); ";
    }
    if (!action.empty()) out += "    \"" + command.Name() + "\") " + action + ";;\n";
  }
  return out + "  esac\n  offers=$(printf '%s\\n' \"$offers\" | tr ' ' '\\n')\n}\n";
}

std::string Bash() {
  return "# bash completion for attune; made by `attune completion bash`.\n" + SharedFunction() +
         R"(_attune() {
  local offers files current="${COMP_WORDS[COMP_CWORD]}" previous=""
  [ "$COMP_CWORD" -gt 1 ] && previous="${COMP_WORDS[COMP_CWORD-1]}"
  _attune_candidates "$previous" "$current" "${COMP_WORDS[@]:1:COMP_CWORD-1}"
  COMPREPLY=()
  [ -n "$offers" ] && mapfile -t COMPREPLY < <(compgen -W "$offers" -- "$current")
  if [ -n "$files" ]; then
    compopt -o filenames 2>/dev/null
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F _attune attune
)";
}

std::string Zsh() {
  return "#compdef attune\n# zsh completion for attune; made by `attune completion zsh`.\n" +
         SharedFunction() +
         R"(_attune() {
  emulate -L zsh
  local offers files previous=""
  (( CURRENT > 2 )) && previous="${words[CURRENT-1]}"
  _attune_candidates "$previous" "${words[CURRENT]}" "${(@)words[2,CURRENT-1]}"
  [ -n "$offers" ] && compadd -- ${(f)offers}
  [ -n "$files" ] && _files
  return 0
}
if [ "$funcstack[1]" = "_attune" ]; then _attune "$@"; else compdef _attune attune; fi
)";
}

std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string FishOption(const std::string& condition, const Parameter& option) {
  std::string out = "complete -c attune " + condition + "-l " + option.name.substr(2);
  if (!option.short_name.empty()) out += " -s " + option.short_name.substr(1);
  if (!option.value.empty()) {
    std::string lister = Lister(option);
    if (TakesFiles(option))
      out += " -r -F";
    else
      out += lister.empty() ? " -x" : " -x -a " + Quoted("(" + lister + ")");
  }
  return out + " -d " + Quoted(option.doc) + "\n";
}

std::string Fish() {
  std::string out =
      "# fish completion for attune; made by `attune completion fish`.\n"
      "complete -c attune -f\n"
      "complete -c attune -s h -l help -d 'Print help'\n";
  for (const Parameter& option : GlobalOptions()) out += FishOption("", option);
  for (const Noun& noun : Nouns()) {
    out += "complete -c attune -n __fish_use_subcommand -a " + noun.name + " -d " +
           Quoted(noun.summary) + "\n";
  }
  for (const Command& command : Commands()) {
    std::string seen = "__fish_seen_subcommand_from " + command.verb;
    if (command.noun.empty()) {
      out += "complete -c attune -n __fish_use_subcommand -a " + command.verb + " -d " +
             Quoted(command.summary) + "\n";
    } else {
      std::string noun = "__fish_seen_subcommand_from " + command.noun;
      out += "complete -c attune -n " +
             Quoted(noun + "; and not __fish_seen_subcommand_from " + Joined(Verbs(command.noun))) +
             " -a " + command.verb + " -d " + Quoted(command.summary) + "\n";
      seen = noun + "; and " + seen;
    }
    std::string condition = "-n " + Quoted(seen) + " ";
    for (const Parameter& option : command.options) out += FishOption(condition, option);
    for (const Parameter& argument : command.arguments) {
      std::string lister = Lister(argument);
      if (TakesFiles(argument)) out += "complete -c attune " + condition + "-F\n";
      if (!lister.empty())
        out += "complete -c attune " + condition + "-a " + Quoted("(" + lister + ")") + "\n";
    }
  }
  return out;
}

}  // namespace

std::string CompletionScript(const std::string& shell) {
  if (shell == "bash") return Bash();
  if (shell == "zsh") return Zsh();
  return Fish();
}

}  // namespace attune::cli
