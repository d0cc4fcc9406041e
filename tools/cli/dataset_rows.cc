#include "tools/cli/dataset_rows.h"

#include <algorithm>
#include <map>

#include "common/base/utf8.h"
#include "common/spec/json.h"
#include "tools/cli/format.h"

namespace attune::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kTextBytes = 1500;  // of one message
constexpr size_t kGistWidth = 100;
constexpr size_t kIdShown = 12;

std::string TextOf(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (content.is_null()) return "";
  return spec::JsonText(content);
}

// Indented, so that rows stay apart.
std::string Indented(const std::string& text) {
  std::string out = "    ";
  for (char c : Shorten(text, kTextBytes)) {
    out += c;
    if (c == '\n') out += "    ";
  }
  return out + "\n";
}

void AddText(const std::string& who, const std::string& text, const ViewOptions& options,
             std::string* out) {
  *out += "  " + Paint(who, Style::kCyan, options.color) + "\n" + Indented(text);
}

void AddMessages(const Json& messages, const ViewOptions& options, std::string* out) {
  for (const Json& message : messages) {
    if (!message.is_object()) continue;
    std::string text = TextOf(message.value("content", Json()));
    if (message.contains("tool_calls")) text += TextOf(message["tool_calls"]);
    AddText(TextOf(message.value("role", Json("?"))), text, options, out);
  }
}

void AddContent(const std::string& key, const Json& content, const ViewOptions& options,
                std::string* out) {
  if (content.is_array() && key != "tools") {
    if (key != "messages") *out += "  " + key + "\n";
    AddMessages(content, options, out);
  } else {
    AddText(key, TextOf(content), options, out);
  }
}

// "language de, source chats".
std::string MetadataText(const Json& row) {
  std::string text;
  if (!row.is_object() || !row.contains("metadata")) return text;
  for (const auto& [key, value] : row["metadata"].items()) {
    text += (text.empty() ? "" : ", ") + key + " " + TextOf(value);
  }
  return text;
}

std::string CountText(const v1::DatasetDiff::Change& change) {
  std::string text = std::to_string(change.examples());
  const std::map<std::string, uint64_t> splits(change.by_split().begin(), change.by_split().end());
  std::string parts;
  for (const auto& [split, count] : splits) {
    parts += (parts.empty() ? "" : ", ") + std::to_string(count) + " " + split;
  }
  return parts.empty() ? text : text + "  (" + parts + ")";
}

// What a person sees of an example that changed.
std::string ShownText(const v1::DatasetDiff::Example& example, size_t width) {
  const std::string id = example.id().substr(0, kIdShown) + "  ";
  const std::string& row = example.after().empty() ? example.before() : example.after();
  std::string text = id + RowGist(row, width > id.size() + 20 ? width - id.size() : kGistWidth);
  if (example.before().empty() || example.after().empty()) return text;
  const std::string indent = "\n" + std::string(id.size(), ' ');
  if (example.before_split() != example.after_split()) {
    text += indent + example.before_split() + " -> " + example.after_split();
  }
  const std::string before = MetadataText(Json::parse(example.before(), nullptr, false));
  const std::string after = MetadataText(Json::parse(example.after(), nullptr, false));
  if (before != after) text += indent + "metadata: " + before + " -> " + after;
  return text;
}

}  // namespace

std::string RowText(const Json& row, const ViewOptions& options) {
  if (!row.is_object()) return TextOf(row) + "\n";
  std::string title = TextOf(row.value("id", Json())) + "  " + TextOf(row.value("kind", Json()));
  std::string out = Paint(title, Style::kBold, options.color);
  if (const std::string metadata = MetadataText(row); !metadata.empty()) {
    out += "  " + Paint(metadata, Style::kDim, options.color);
  }
  out += "\n";
  for (const auto& [key, value] : row.items()) {
    if (key != "id" && key != "kind" && key != "metadata") AddContent(key, value, options, &out);
  }
  return out;
}

std::string RowGist(const std::string& row, size_t width) {
  const Json json = Json::parse(row, nullptr, /*allow_exceptions=*/false);
  std::string text;
  if (json.is_object()) {
    for (const char* key : {"prompt", "text", "messages", "chosen"}) {
      if (!json.contains(key)) continue;
      const Json& content = json[key];
      const bool chat = content.is_array() && !content.empty() && content[0].is_object();
      text = TextOf(chat ? content[0].value("content", Json()) : content);
      break;
    }
  } else {
    const size_t content = row.find("\",\"kind\":\"");  // cut off: from its kind on
    text = content == std::string::npos ? row : row.substr(content + 2);
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  return Fit(text, width);
}

std::string DiffCard(const v1::DatasetDiff& diff, const ViewOptions& options) {
  const std::vector<std::pair<const char*, const v1::DatasetDiff::Change*>> changes = {
      {"Added", &diff.added()},
      {"Removed", &diff.removed()},
      {"Moved", &diff.moved()},
      {"Changed", &diff.changed()}};
  Card card(options);
  card.Title(diff.before() + " -> " + diff.after());
  for (const auto& [name, change] : changes) card.Row(name, CountText(*change));
  card.Row("Unchanged", std::to_string(diff.unchanged()));
  card.Row("Stored", FormatBytes(static_cast<double>(diff.shared_bytes())) + " in both, " +
                         FormatBytes(static_cast<double>(diff.before_bytes())) + " only in " +
                         diff.before() + ", " +
                         FormatBytes(static_cast<double>(diff.after_bytes())) + " only in " +
                         diff.after());
  std::string out = card.Render();
  for (const auto& [name, change] : changes) {
    if (change->shown().empty()) continue;
    out += "\n" + Paint(name, Style::kBold, options.color) + "\n";
    for (const auto& example : change->shown()) {
      out += "  " + ShownText(example, options.width == 0 ? kGistWidth : options.width - 2) + "\n";
    }
  }
  return out;
}

}  // namespace attune::cli
