#pragma once

// -o table|json|jsonl|yaml|name, the same for everything that prints.

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/cli/io.h"
#include "tools/cli/table.h"

namespace attune::cli {

enum class Format { kTable, kJson, kJsonLines, kYaml, kName };
Format ParseFormat(const std::string& word);  // a word of the command table

// A JSON value as a YAML document that reads back as the same value.
std::string JsonToYaml(const nlohmann::ordered_json& json);

class Printer {
 public:
  Printer(Io* io, Format format, bool color) : io_(io), format_(format), color_(color) {}

  Format format() const { return format_; }
  bool human() const { return format_ == Format::kTable; }
  bool color() const { return color_; }
  // Columns for tables and cards: 0, no limit, when standard output is no terminal.
  size_t width() const { return io_->out_is_terminal ? static_cast<size_t>(io_->width()) : 0; }
  std::ostream& out() { return *io_->out; }

  // One object. name is what -o name prints; card is what a person reads.
  void Object(const nlohmann::ordered_json& json, const std::string& name, const std::string& card);
  // A list. empty is the message (on standard error) for a person when there is nothing.
  void List(const std::vector<nlohmann::ordered_json>& items, const std::vector<std::string>& names,
            const Table& table, const std::string& empty);

 private:
  Io* const io_;
  const Format format_;
  const bool color_;
};

}  // namespace attune::cli
