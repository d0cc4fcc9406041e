#include "common/spec/import_spec.h"

#include <algorithm>
#include <functional>

#include "common/spec/curation_spec.h"
#include "common/yaml/nearest.h"
#include "common/yaml/reader.h"

namespace attune::spec {
namespace {

using Wrong = std::function<void(const std::string&, const std::string&)>;

constexpr std::string_view kFormats[] = {"jsonl", "csv", "parquet"};
constexpr std::string_view kDelimiters[] = {"comma", "tab", "semicolon", "pipe"};
constexpr std::string_view kMetadata[] = {"source", "language", "tenant", "timestamp", "label"};
// Lists, which no text makes.
constexpr std::string_view kWhole[] = {"messages", "conversations", "tools"};
constexpr size_t kValueBytesMax = 64 << 10;

const std::vector<RowShape>& Shapes() {
  static const auto* shapes =
      new std::vector<RowShape>{{"messages", {"messages", "tools"}},
                                {"conversations", {"conversations", "tools"}},
                                {"prompt and completion", {"prompt", "completion", "tools"}},
                                {"preference", {"prompt", "chosen", "rejected", "tools"}},
                                {"instruction", {"instruction", "input", "output"}},
                                {"text", {"text"}}};
  return *shapes;
}

template <typename Names>
bool Contains(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != std::end(names);
}

std::vector<std::string> Targets() {
  std::vector<std::string> targets(std::begin(kMetadata), std::end(kMetadata));
  for (const RowShape& shape : Shapes()) {
    for (std::string_view key : shape.keys) {
      if (!Contains(targets, key)) targets.emplace_back(key);
    }
  }
  return targets;
}

std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// "" or what is wrong with the value that a key is mapped to.
std::string WrongValue(const std::string& key, const std::string& value) {
  if (value.empty()) return key + " must name a column";
  if (value.size() > kValueBytesMax) return key + " is longer than 64 KiB";
  auto parts = ParseMapping(value);
  if (!parts.ok()) return key + ": " + parts.status().message();
  const bool column = parts->size() == 1 && parts->front().column;
  if (!column && Contains(kWhole, key)) return key + " must name a column, as it is a list";
  return "";
}

// wrong(key, message) for each key of the mapping.
void CheckKeys(const v1::ImportSpec& spec, const Wrong& wrong) {
  const std::vector<std::string> targets = Targets();
  for (const auto& [key, value] : spec.mapping()) {
    if (Contains(targets, key)) {
      const std::string problem = WrongValue(key, value);
      if (!problem.empty()) wrong(key, problem);
      continue;
    }
    const std::string nearest = yaml::Nearest(key, targets);
    wrong(key, "mapping makes no '" + key + "'" +
                   (nearest.empty() ? ": it may be " + Listed(targets)
                                    : "; did you mean '" + nearest + "'?"));
  }
}

// "" or why the keys of the mapping do not go together; those that are unknown are not looked at.
std::string WrongShape(const v1::ImportSpec& spec) {
  const std::vector<std::string> targets = Targets();
  v1::ImportSpec known;
  std::vector<std::string> mapped;
  for (const auto& [key, value] : spec.mapping()) {
    if (!Contains(targets, key) || Contains(kMetadata, key)) continue;
    (*known.mutable_mapping())[key] = value;
    mapped.push_back(key);
  }
  if (mapped.empty() || ShapeOf(known) != nullptr) return "";
  std::ranges::sort(mapped);
  return "mapping makes " + Listed(mapped) +
         ", which are of no one shape: messages (tools); conversations (tools); prompt, completion "
         "(tools); prompt, chosen, rejected (tools); instruction, input, output; or text";
}

}  // namespace

const RowShape* ShapeOf(const v1::ImportSpec& spec) {
  const bool content = std::ranges::any_of(
      spec.mapping(), [](const auto& entry) { return !Contains(kMetadata, entry.first); });
  if (!content) return nullptr;
  for (const RowShape& shape : Shapes()) {
    const bool has_all = std::ranges::all_of(spec.mapping(), [&](const auto& entry) {
      return Contains(kMetadata, entry.first) || Contains(shape.keys, entry.first);
    });
    if (has_all) return &shape;
  }
  return nullptr;
}

Result<std::vector<MappingPart>> ParseMapping(std::string_view value) {
  if (value.find_first_of("{}") == std::string_view::npos) {
    return std::vector<MappingPart>{{.column = true, .text = std::string(value)}};
  }
  std::vector<MappingPart> parts;
  std::string text;
  auto end_text = [&] {
    if (!text.empty()) parts.push_back({.column = false, .text = std::move(text)});
    text.clear();
  };
  for (size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (c != '{' && c != '}') {
      text += c;
    } else if (i + 1 < value.size() && value[i + 1] == c) {
      text += c;
      ++i;
    } else {
      const size_t end = value.find_first_of("{}", i + 1);
      if (c == '}' || end == std::string_view::npos || value[end] != '}' || end == i + 1) {
        return InvalidArgument(
            "a column stands in braces, as in \"{question}\"; a brace itself is written twice");
      }
      end_text();
      parts.push_back({.column = true, .text = std::string(value.substr(i + 1, end - i - 1))});
      i = end;
    }
  }
  end_text();
  return parts;
}

Status SetMapping(const std::string& assignment, v1::ImportSpec* spec) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    return InvalidArgument("'" + assignment +
                           "' maps nothing: write KEY=COLUMN, such as "
                           "prompt=question");
  }
  (*spec->mutable_mapping())[assignment.substr(0, equals)] = assignment.substr(equals + 1);
  return Status();
}

Result<v1::ImportSpec> ParseImportSpec(std::string text, std::string name) {
  ATTUNE_ASSIGN_OR_RETURN(yaml::Document document, yaml::Parse(std::move(text), std::move(name)));
  yaml::Reader reader(document);
  v1::ImportSpec spec;
  reader.Optional("format", spec.mutable_format(),
                  yaml::OneOf{{std::begin(kFormats), std::end(kFormats)}});
  reader.Optional("delimiter", spec.mutable_delimiter(),
                  yaml::OneOf{{std::begin(kDelimiters), std::end(kDelimiters)}});
  reader.Section("mapping", [&](yaml::Reader& mapping) {
    for (const std::string& key : mapping.Keys()) {
      std::string value;
      if (mapping.Optional(key, &value)) (*spec.mutable_mapping())[key] = value;
    }
    CheckKeys(spec, [&](const std::string& key, const std::string& message) {
      mapping.Fail(key, message);
    });
  });
  const std::string problem = WrongShape(spec);
  if (!problem.empty()) reader.Fail("mapping", problem);
  reader.Section("curation", [&](yaml::Reader& curation) {
    ReadCuration(curation, spec.mutable_curation());
    CheckCuration(spec.curation(), [&](const std::string& path, const std::string& message) {
      curation.Fail(path, message);
    });
  });
  ATTUNE_RETURN_IF_ERROR(reader.Finish());
  return spec;
}

Status ValidateImportSpec(const v1::ImportSpec& spec) {
  Status first;
  auto wrong = [&](const std::string& path, const std::string& message) {
    if (first.ok()) first = InvalidArgument(message).WithField("spec." + path);
  };
  if (!spec.format().empty() && !Contains(kFormats, spec.format())) {
    wrong("format", "format must be jsonl, csv or parquet, not '" + spec.format() + "'");
  }
  if (!spec.delimiter().empty() && !Contains(kDelimiters, spec.delimiter())) {
    wrong("delimiter",
          "delimiter must be comma, tab, semicolon or pipe, not '" + spec.delimiter() + "'");
  }
  CheckKeys(spec, [&](const std::string& key, const std::string& message) {
    wrong("mapping." + key, message);
  });
  const std::string problem = WrongShape(spec);
  if (!problem.empty()) wrong("mapping", problem);
  CheckCuration(spec.curation(), [&](const std::string& path, const std::string& message) {
    wrong("curation." + path, message);
  });
  return first;
}

}  // namespace attune::spec
