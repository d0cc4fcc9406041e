#include "tools/cli/output.h"

#include <cctype>

#include "common/spec/json.h"

namespace attune::cli {
namespace {

using Json = nlohmann::ordered_json;

// Whether a string may stand in YAML without quotes and still be that string.
bool IsPlain(const std::string& text) {
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text[0])) == 0) return false;
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}) {
    std::string lower;
    for (char c : text) lower += static_cast<char>(std::tolower(c));
    if (lower == word) return false;
  }
  for (unsigned char c : text) {
    if (std::isalnum(c) == 0 &&
        std::string_view("_-./@ ").find(static_cast<char>(c)) == std::string_view::npos) {
      return false;
    }
  }
  return text.back() != ' ';
}

std::string Scalar(const Json& json) {
  if (json.is_string() && IsPlain(json.get_ref<const std::string&>()))
    return json.get<std::string>();
  return spec::JsonText(json);  // JSON's scalars are YAML's, quoted strings too
}

void Write(const Json& json, size_t indent, std::string* out) {
  std::string margin(indent, ' ');
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      *out += margin + (IsPlain(key) ? key : spec::JsonText(Json(key))) + ":";
      bool nested = value.is_structured() && !value.empty();
      *out += nested ? "\n" : " " + Scalar(value) + "\n";
      if (nested) Write(value, indent + 2, out);
    }
    return;
  }
  for (const Json& item : json) {
    if (!item.is_structured() || item.empty()) {
      *out += margin + "- " + Scalar(item) + "\n";
      continue;
    }
    std::string nested;
    Write(item, indent + 2, &nested);
    nested.replace(indent, 2, "- ");
    *out += nested;
  }
}

}  // namespace

Format ParseFormat(const std::string& word) {
  if (word == "json") return Format::kJson;
  if (word == "jsonl") return Format::kJsonLines;
  if (word == "yaml") return Format::kYaml;
  if (word == "name") return Format::kName;
  return Format::kTable;
}

std::string JsonToYaml(const Json& json) {
  if (!json.is_structured() || json.empty()) return Scalar(json) + "\n";
  std::string out;
  Write(json, 0, &out);
  return out;
}

void Printer::Object(const Json& json, const std::string& name, const std::string& card) {
  switch (format_) {
    case Format::kTable:
      out() << card;
      break;
    case Format::kJson:
      out() << spec::JsonText(json, 2) << "\n";
      break;
    case Format::kJsonLines:
      out() << spec::JsonText(json) << "\n";
      break;
    case Format::kYaml:
      out() << JsonToYaml(json);
      break;
    case Format::kName:
      out() << name << "\n";
      break;
  }
  out().flush();
}

void Printer::List(const std::vector<Json>& items, const std::vector<std::string>& names,
                   const Table& table, const std::string& empty) {
  switch (format_) {
    case Format::kTable:
      if (table.empty()) {
        *io_->err << empty << "\n";
      } else {
        out() << table.Render(width(), color_);
      }
      break;
    case Format::kJson:
      out() << spec::JsonText(Json(items), 2) << "\n";
      break;
    case Format::kJsonLines:
      for (const Json& item : items) out() << spec::JsonText(item) << "\n";
      break;
    case Format::kYaml:
      out() << JsonToYaml(Json(items));
      break;
    case Format::kName:
      for (const std::string& name : names) out() << name << "\n";
      break;
  }
  out().flush();
}

}  // namespace attune::cli
