#include "common/spec/document.h"

#include <algorithm>
#include <cmath>

#include "common/spec/schema.h"
#include "common/yaml/nearest.h"

namespace attune::spec {
namespace {

std::string DefaultText(const Field& field) {
  if (field.required()) return "none: the key is required";
  return std::string(field.derive != nullptr ? field.default_doc : field.fallback);
}

std::string AllowedText(const Field& field) {
  std::string out;
  for (const std::string& value : field.values) out += (out.empty() ? "" : ", ") + value;
  if (!out.empty()) return out;
  bool has_min = std::isfinite(field.range.min), has_max = std::isfinite(field.range.max);
  if (has_min && has_max) {
    return yaml::FormatNumber(field.range.min) + " to " + yaml::FormatNumber(field.range.max);
  }
  return "";
}

std::string Wrap(std::string_view text, size_t width, const std::string& indent) {
  std::string out, line;
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, end);
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      out += indent + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + std::string(word);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out + indent + line + "\n";
}

std::string ExplainField(const Field& field) {
  std::string out = std::string(field.path) + " (" + std::string(field.type) + ")\n";
  out += Wrap(field.doc, 76, "    ");
  out += "    Default: " + DefaultText(field) + "\n";
  std::string allowed = AllowedText(field);
  if (!allowed.empty()) out += "    Allowed: " + allowed + "\n";
  if (!field.applies_doc.empty()) out += "    Applies: " + std::string(field.applies_doc) + "\n";
  return out;
}

bool Under(const Field& field, std::string_view section) {
  return field.path.size() > section.size() && field.path.substr(0, section.size()) == section &&
         field.path[section.size()] == '.';
}

std::string MarkdownRow(const Field& field) {
  std::string allowed = AllowedText(field);
  std::string fallback = field.required()
                             ? "required"
                             : (field.derive ? DefaultText(field) : "`" + DefaultText(field) + "`");
  std::string doc(field.doc);
  if (!field.applies_doc.empty()) doc += " Only " + std::string(field.applies_doc) + ".";
  return "| `" + std::string(field.path) + "` | " + std::string(field.type) + " | " + fallback +
         " | " + allowed + " | " + doc + " |\n";
}

Status CheckPath(const std::string& path) {
  if (path.empty() || FindField(path) != nullptr || IsSection(path)) return Status();
  std::vector<std::string> all;
  for (const Field& field : Schema()) all.emplace_back(field.path);
  for (const std::string& key : KeysOf("")) all.push_back(key);
  std::string nearest = yaml::Nearest(path, all);
  return NotFound(
      "a job spec has no key '" + path + "'" +
      (nearest.empty() ? "; `attune job explain` lists all" : "; did you mean '" + nearest + "'?"));
}

}  // namespace

Result<std::string> Explain(const std::string& path) {
  ATTUNE_RETURN_IF_ERROR(CheckPath(path));
  if (const Field* field = FindField(path)) return ExplainField(*field);
  std::string out;
  if (!path.empty()) out += path + ": " + std::string(SectionDoc(path)) + "\n\n";
  for (const Field& field : Schema()) {
    if (!path.empty() && !Under(field, path)) continue;
    out += (out.empty() || out.ends_with("\n\n") ? "" : "\n") + ExplainField(field);
  }
  return out;
}

Result<nlohmann::ordered_json> ExplainJson(const std::string& path) {
  ATTUNE_RETURN_IF_ERROR(CheckPath(path));
  auto list = nlohmann::ordered_json::array();
  for (const Field& field : Schema()) {
    if (!path.empty() && field.path != path && !Under(field, path)) continue;
    nlohmann::ordered_json json = {{"key", field.path}, {"type", field.type}};
    if (!field.required()) json["default"] = DefaultText(field);
    if (std::string allowed = AllowedText(field); !allowed.empty()) json["allowed"] = allowed;
    if (!field.applies_doc.empty()) json["applies"] = field.applies_doc;
    json["doc"] = field.doc;
    list.push_back(std::move(json));
  }
  return list;
}

std::string Markdown() {
  std::string out =
      "# The job spec\n\n"
      "<!-- Generated from common/spec/schema.cc by `attune job explain --markdown`; do not edit. "
      "-->\n\n"
      "A job spec is a YAML file: `attune job submit FILE`. Every key, its default and what it may "
      "be;\n"
      "`attune job explain KEY` prints the same in the terminal. `--set KEY=VALUE` overrides a key "
      "for one\n"
      "submission. `configs/jobs/` has whole specs. Only `base`, `dataset` and `method` are "
      "required:\n\n"
      "```yaml\nbase: smollm2\ndataset: stdlib-docs\nmethod: lora\n```\n";
  const std::string header =
      "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n";
  out += "\n" + header;
  for (const Field& field : Schema()) {
    if (field.path.find('.') == field.path.npos) out += MarkdownRow(field);
  }
  for (const std::string& section : KeysOf("")) {
    if (!IsSection(section)) continue;
    out += "\n## " + section + "\n\n" + std::string(SectionDoc(section)) + "\n\n" + header;
    for (const Field& field : Schema()) {
      if (Under(field, section)) out += MarkdownRow(field);
    }
  }
  return out;
}

}  // namespace attune::spec
