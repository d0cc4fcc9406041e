#include "tools/cli/parse.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "common/yaml/nearest.h"
#include "common/yaml/value.h"

namespace attune::cli {
namespace {

using Values = std::map<std::string, std::vector<std::string>>;

// One CLI11 option per parameter, writing into values. CLI11 keeps pointers into the map: nodes do
// not move.
void Add(CLI::App* app, const Parameter& parameter, Values* values) {
  std::vector<std::string>& target = (*values)[parameter.name];
  std::string names = parameter.name;
  if (!parameter.short_name.empty()) names = parameter.short_name + "," + names;
  bool is_option = parameter.name[0] == '-';
  if (is_option && parameter.value.empty()) {
    app->add_flag_callback(names, [&target] { target = {"true"}; });
    return;
  }
  CLI::Option* option = app->add_option(names, target);
  if (is_option) {
    option->allow_extra_args(false);
    if (!parameter.repeated) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  } else {
    // An optional or repeated one takes from none or one to many; a single one leaves the rest to
    // others.
    option->expected(parameter.required ? 1 : 0,
                     parameter.repeated ? CLI::detail::expected_max_vector_size : 1);
    option->allow_extra_args(parameter.repeated || !parameter.required);
    if (parameter.required) option->required();
  }
}

// "" or what the value must be instead.
std::string CheckValue(const Parameter& parameter, const std::string& value) {
  uint64_t whole;
  double number;
  std::chrono::milliseconds duration;
  switch (parameter.type) {
    case ValueType::kWhole:
      return yaml::Convert(yaml::ScalarNode(value), &whole);
    case ValueType::kNumber:
      return yaml::Convert(yaml::ScalarNode(value), &number);
    case ValueType::kDuration:
      return yaml::Convert(yaml::ScalarNode(value), &duration);
    case ValueType::kText:
      break;
  }
  if (parameter.words.empty()) return "";
  std::string wrong;
  if (std::find(parameter.words.begin(), parameter.words.end(), value) == parameter.words.end()) {
    std::string ignored;
    wrong = yaml::Convert(yaml::ScalarNode(value), &ignored, yaml::OneOf{parameter.words});
  }
  return wrong;
}

Status CheckValues(const std::vector<Parameter>& parameters, Values* values) {
  for (const Parameter& parameter : parameters) {
    auto& given = (*values)[parameter.name];
    if (parameter.name[0] != '-' && !parameter.repeated && given.size() > 1) {
      return InvalidArgument("unexpected argument '" + given[1] + "'");
    }
    for (const std::string& value : given) {
      std::string wrong = CheckValue(parameter, value);
      if (!wrong.empty()) return InvalidArgument(parameter.name + " must be " + wrong);
    }
    if (given.empty() && !parameter.fallback.empty()) given = {parameter.fallback};
    if (given.empty()) values->erase(parameter.name);
  }
  return Status();
}

std::string UsageHint(const std::string& name) {
  return "; see `attune" + (name.empty() ? "" : " " + name) + " --help`";
}

// The message for words that CLI11 could not place.
Status Unexpected(const std::vector<std::string>& args, const Command* command,
                  const std::string& noun, const std::string& extra) {
  if (extra.starts_with("-")) {
    std::vector<std::string> known;
    for (const Parameter& option : GlobalOptions()) known.push_back(option.name);
    if (command != nullptr) {
      for (const Parameter& option : command->options) known.push_back(option.name);
    }
    std::string nearest = yaml::Nearest(extra.substr(0, extra.find('=')), known);
    return InvalidArgument("unknown option '" + extra + "'" +
                           (nearest.empty() ? UsageHint(command ? command->Name() : noun)
                                            : "; did you mean '" + nearest + "'?"));
  }
  if (command != nullptr) {
    return InvalidArgument("unexpected argument '" + extra + "'" + UsageHint(command->Name()));
  }
  std::vector<std::string> known;
  for (const Command& other : Commands()) {
    if (noun.empty()) known.push_back(other.noun.empty() ? other.verb : other.noun);
    if (!noun.empty() && other.noun == noun) known.push_back(other.verb);
  }
  std::string nearest = yaml::Nearest(extra, known);
  return InvalidArgument("unknown command '" + (noun.empty() ? "" : noun + " ") + extra + "'" +
                         (nearest.empty() ? UsageHint(noun)
                                          : "; did you mean 'attune " +
                                                (noun.empty() ? "" : noun + " ") + nearest + "'?"));
}

// The whole table as one CLI11 application.
class Tree {
 public:
  Tree() : app_("attune") {
    Configure(&app_);
    for (const Parameter& option : GlobalOptions()) Add(&app_, option, &globals_);
    for (const Command& command : Commands()) {
      CLI::App* parent = &app_;
      if (!command.noun.empty()) {
        CLI::App*& noun = nouns_[command.noun];
        if (noun == nullptr) Configure(noun = app_.add_subcommand(command.noun));
        parent = noun;
      }
      CLI::App* leaf = parent->add_subcommand(command.verb);
      Configure(leaf);
      Values& values = values_[&command];
      for (const Parameter& argument : command.arguments) Add(leaf, argument, &values);
      for (const Parameter& option : command.options) Add(leaf, option, &values);
      leaves_.emplace_back(leaf, &command);
    }
  }

  Result<Parsed> Parse(const std::vector<std::string>& args) {
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    Status failure;
    try {
      app_.parse(reversed);
    } catch (const CLI::ParseError& error) {
      failure = InvalidArgument(error.what());
    }
    Parsed parsed;
    for (const auto& [leaf, command] : leaves_) {
      if (leaf->parsed()) parsed.command = command;
    }
    for (const auto& [name, noun] : nouns_) {
      if (noun->parsed()) parsed.noun = name;
    }
    parsed.help = help_;
    if (help_) return parsed;
    std::vector<std::string> extras = app_.remaining(true);
    if (!extras.empty()) return Unexpected(args, parsed.command, parsed.noun, extras.front());
    if (!failure.ok()) {
      std::string name = parsed.command != nullptr ? parsed.command->Name() : parsed.noun;
      return InvalidArgument(failure.message() + UsageHint(name));
    }
    if (parsed.command == nullptr) return parsed;
    Values values = values_[parsed.command];
    ATTUNE_RETURN_IF_ERROR(CheckValues(parsed.command->arguments, &values));
    ATTUNE_RETURN_IF_ERROR(CheckValues(parsed.command->options, &values));
    ATTUNE_RETURN_IF_ERROR(CheckValues(GlobalOptions(), &globals_));
    values.insert(globals_.begin(), globals_.end());
    parsed.arguments = Arguments(std::move(values));
    return parsed;
  }

 private:
  void Configure(CLI::App* app) {
    app->set_help_flag();
    app->fallthrough();
    app->allow_extras();
    app->require_subcommand(0, 1);  // so that a job may be called "job"
    app->add_flag_callback("-h,--help", [this] { help_ = true; });
  }

  CLI::App app_;
  bool help_ = false;
  Values globals_;
  std::map<std::string, CLI::App*> nouns_;
  std::map<const Command*, Values> values_;
  std::vector<std::pair<CLI::App*, const Command*>> leaves_;
};

}  // namespace

Result<Parsed> ParseCommandLine(const std::vector<std::string>& args) {
  auto tree = std::make_unique<Tree>();
  return tree->Parse(args);
}

std::string Arguments::Get(const std::string& name) const {
  auto it = values_.find(name);
  return it == values_.end() || it->second.empty() ? "" : it->second.back();
}

const std::vector<std::string>& Arguments::All(const std::string& name) const {
  static const auto* none = new std::vector<std::string>();
  auto it = values_.find(name);
  return it == values_.end() ? *none : it->second;
}

double Arguments::Number(const std::string& name) const {
  yaml::Node node = yaml::ScalarNode(Get(name));
  double number = 0;
  std::chrono::milliseconds duration{0};
  if (yaml::Convert(node, &number).empty()) return number;
  if (yaml::Convert(node, &duration).empty()) return static_cast<double>(duration.count()) / 1000;
  return 0;
}

uint64_t Arguments::Whole(const std::string& name) const {
  uint64_t number = 0;
  return yaml::Convert(yaml::ScalarNode(Get(name)), &number).empty() ? number : 0;
}

}  // namespace attune::cli
