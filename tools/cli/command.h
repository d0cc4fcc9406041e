#pragma once

// The command table's types. Help, parsing, shell completion and docs/cli.md are all made from the
// table.

#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune::cli {

class Session;
class Arguments;

// What a shell offers for a value.
enum class Completes {
  kNothing,
  kFile,
  kFolder,
  kJob,
  kDataset,
  kModel,
  kModelName,
  kAlias,
  kStream,
  kSpecKey
};
enum class ValueType { kText, kWhole, kNumber, kDuration };

// An option or an argument.
struct Parameter {
  std::string name;   // "--set" or "FILE"
  std::string value;  // of an option, "KEY=VALUE"; empty: a flag
  std::string doc;
  std::string short_name;  // "-f"
  bool required = false;   // of an argument
  bool repeated = false;
  std::vector<std::string> words = {};  // the values allowed; empty: any
  Completes completes = Completes::kNothing;
  ValueType type = ValueType::kText;
  std::string fallback = "";  // the default, as it would be typed
};

struct Command {
  std::string noun;  // "job"; empty for `attune up` and its like
  std::string verb;
  std::string summary;  // one line
  std::string details;  // paragraphs, may be empty
  std::vector<Parameter> arguments, options;
  std::vector<std::string> examples;
  // The exit code, or a failure that is printed and mapped to one.
  Result<int> (*run)(Session&, const Arguments&);

  std::string Name() const { return noun.empty() ? verb : noun + " " + verb; }
};

// In the order in which help shows them.
const std::vector<Command>& Commands();
// The options that every command takes.
const std::vector<Parameter>& GlobalOptions();
// "jobs: submit, watch, ..." for help.
struct Noun {
  std::string name, summary;
};
const std::vector<Noun>& Nouns();
const Command* FindCommand(const std::string& noun, const std::string& verb);

// What the user typed, checked against the table; defaults filled in.
class Arguments {
 public:
  explicit Arguments(std::map<std::string, std::vector<std::string>> values = {})
      : values_(std::move(values)) {}
  bool Has(const std::string& name) const { return values_.count(name) > 0; }
  // The (last) value; "" when absent.
  std::string Get(const std::string& name) const;
  const std::vector<std::string>& All(const std::string& name) const;
  // Of kWhole, kNumber and kDuration (seconds) parameters; 0 when absent.
  double Number(const std::string& name) const;
  // Of a kWhole parameter, exactly; 0 when absent.
  uint64_t Whole(const std::string& name) const;

 private:
  std::map<std::string, std::vector<std::string>> values_;
};

}  // namespace attune::cli
